"""What a network says of each test example: its class and how sure it is; small even for many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee import files
from mentee.data import Examples
from mentee.errors import DataError, RunError


@dataclass(frozen=True, eq=False)
class Predictions:
    """One class for each example.

    Attributes:
        ids: `[n]` the examples' own names.
        classes: `[n]` int32, the likeliest class.
        confidence: `[n]` float32, how likely the network holds it, in (0, 1].
    """

    ids: npt.NDArray[Any]
    classes: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]

    def agreement(self, other: Predictions) -> float:
        """The share of the examples of which both name the same class.

        Raises:
            DataError: they are not of the same examples.
        """
        if not np.array_equal(self.ids, other.ids):
            raise DataError(
                f"predictions of {len(self.ids)} examples and of {len(other.ids)} others cannot "
                "be compared; both have to be of the same test part"
            )
        return float((self.classes == other.classes).mean())

    def save(self, path: Path) -> None:
        """Write them as a compressed `.npz`, atomically."""

        def to(beside: Path) -> None:
            with beside.open("wb") as out:  # savez adds an ending to a name
                np.savez_compressed(
                    out, ids=self.ids, classes=self.classes, confidence=self.confidence
                )

        files.write(path, to)


def predictions_of(logits: Tensor, examples: Examples) -> Predictions | None:
    """The predictions that logits `[n, k]` stand for; None where an example may have several."""
    if examples.task == "multi" or logits.ndim != 2 or logits.shape[1] < 2:
        return None
    confidence, classes = logits.float().softmax(1).max(1)
    return Predictions(
        np.asarray(examples.ids, np.str_),
        classes.to(torch.int32).numpy(),
        confidence.numpy(),
    )


def load(path: Path) -> Predictions:
    """Read what `save` wrote.

    Raises:
        RunError: it cannot be read.
    """
    try:
        with path.open("rb") as opened, np.load(opened) as content:
            return Predictions(content["ids"], content["classes"], content["confidence"])
    except Exception as error:  # a damaged file shows in several ways
        raise RunError(f"{path} cannot be read: {error}; remove it, and it is made anew") from error
