"""What a network predicts of each test example, as its task keeps it; small even for many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mentee import files
from mentee.data import Examples
from mentee.errors import DataError, RunError
from mentee.tasks import TASKS


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of some examples.

    Attributes:
        ids: `[n]` the examples' own names.
        columns: what the task keeps: `classes` and `confidence`, `[n]`, or `values`, `[n, k]`.
    """

    ids: npt.NDArray[Any]
    columns: Mapping[str, npt.NDArray[Any]]

    def agreement(self, other: Predictions) -> float:
        """The share of the examples with the same class; of values, their mean correlation.

        Raises:
            DataError: they are not of the same examples.
        """
        if not np.array_equal(self.ids, other.ids):
            raise DataError(
                f"predictions of {len(self.ids)} examples and of {len(other.ids)} others cannot "
                "be compared; both have to be of the same test part"
            )
        if "classes" in self.columns:
            return float((self.columns["classes"] == other.columns["classes"]).mean())
        pairs = zip(self.columns["values"].T, other.columns["values"].T, strict=True)
        return float(np.mean([correlation(*pair) for pair in pairs]))

    def save(self, path: Path) -> None:
        """Write them as a compressed `.npz`, atomically."""

        def to(temporary: Path) -> None:
            with temporary.open("wb") as out:  # savez adds an ending to a name
                arrays: dict[str, Any] = {"ids": self.ids, **self.columns}
                np.savez_compressed(out, **arrays)

        files.write(path, to)


def correlation(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Pearson's; 0 where one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def predictions_of(outputs: Tensor, examples: Examples) -> Predictions | None:
    """The predictions that outputs `[n, k]` stand for; None where the task keeps none.

    Examples without labels are predictions_of as classes.
    """
    columns = (TASKS["single"] if examples.labels is None else examples.task).predictions(outputs)
    if columns is None:
        return None
    return Predictions(np.asarray(examples.ids, np.str_), columns)


def load(path: Path) -> Predictions:
    """Read what `save` wrote.

    Raises:
        RunError: it cannot be read.
    """
    try:
        with path.open("rb") as opened, np.load(opened) as content:
            columns = {name: content[name] for name in content.files if name != "ids"}
            return Predictions(content["ids"], columns)
    except Exception as error:  # a damaged file shows in several ways
        raise RunError(f"{path} cannot be read: {error}; remove it, and it is made anew") from error
