"""The outputs of a network for a set of examples, and its predictions as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mentee import files
from mentee.data import Examples
from mentee.errors import DataError, MenteeError, RunError
from mentee.features import Capture, Layer
from mentee.features.layer import first_tensor
from mentee.features.trace import evaluated
from mentee.models import Contract, normalize
from mentee.parallel import gather_objects
from mentee.tasks import TASKS
from mentee.types import Batch, Features


@torch.no_grad()
def collect_features(
    network: nn.Module,
    layers: Sequence[Layer],
    contract: Contract,
    batches: Iterable[Batch],
    device: torch.device | str = "cpu",
) -> Features:
    """A network's features of all processes' examples, in the order of their rows.

    Returns:
        Layer name to float32 `[n, ...]` on the CPU.
    """
    with Capture(network, layers) as capture:
        return run_batches(network, contract, batches, device, capture.capture)


@torch.no_grad()
def predict(
    network: nn.Module,
    contract: Contract,
    batches: Iterable[Batch],
    device: torch.device | str = "cpu",
) -> Tensor:
    """The logits of all processes' examples, in the order of their rows: float32 `[n, k]`.

    Raises:
        MenteeError: the network gives no tensor.
    """

    def forward(inputs: Tensor) -> Features:
        logits = first_tensor(network(inputs))
        if logits is None:
            raise MenteeError(f"{type(network).__name__} returned no tensor to take as logits")
        return {"logits": logits}

    return run_batches(network, contract, batches, device, forward)["logits"]


def run_batches(
    network: nn.Module,
    contract: Contract,
    batches: Iterable[Batch],
    device: torch.device | str,
    forward: Callable[[Tensor], Features],
) -> Features:
    """The outputs of `forward` for all batches of all processes, with `network` in eval mode."""
    rows: list[Tensor] = []
    outputs: list[Features] = []
    with evaluated(network):
        for batch in batches:
            features = forward(normalize(batch.inputs.to(device), contract))
            rows.append(batch.rows)
            outputs.append({name: x.float().cpu() for name, x in features.items()})
    names = outputs[0] if outputs else {}
    return in_order(rows, {name: torch.cat([each[name] for each in outputs]) for name in names})


def in_order(rows: Sequence[Tensor], features: Features) -> Features:
    """The features of all processes, in the order of the examples' rows; of no batch empty."""
    pairs = gather_objects((torch.cat([*rows]), features) if rows else None)
    order = torch.cat([each for each, _ in pairs]).argsort()
    return {name: torch.cat([own[name] for _, own in pairs])[order] for name in pairs[0][1]}


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of some examples.

    Attributes:
        ids: `[n]` the examples' own names.
        columns: what the task saves: `classes` and `confidence`, `[n]`, or `values`, `[n, k]`.
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
    """The predictions of outputs `[n, k]`; None where the task has none that are saved.

    Examples without labels are treated as of one class each.
    """
    columns = (TASKS["single"] if examples.labels is None else examples.task).predictions(outputs)
    if columns is None:
        return None
    return Predictions(np.asarray(examples.ids, np.str_), columns)


def load(path: Path) -> Predictions:
    """Read what `save` wrote."""
    try:
        with path.open("rb") as file, np.load(file) as content:
            columns = {name: content[name] for name in content.files if name != "ids"}
            return Predictions(content["ids"], columns)
    except Exception as error:  # a damaged file shows in several ways
        raise RunError(f"{path} cannot be read: {error}; remove it to make it again") from error
