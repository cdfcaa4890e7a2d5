"""What a run remembers between its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """What a run remembers beside its networks; saved with every checkpoint.

    Attributes:
        seconds: spent in training steps.
        wall: spent in all.
        best: the best validation score so far.
        best_epoch: the epoch, from 1, it was reached in.
        stale: validations since then.
        teacher: the teacher's own scores, on how many validation examples.
        measured: in the first `steps`, of each of the `losses` its mean unweighted value and its
            weight, and its weighted pull in the first one over that of the loss `beside`.
        sums: the losses of the steps since the last line of the metrics, added up.
        counted: how many steps those are.
    """

    seconds: float = 0.0
    wall: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    teacher: dict[str, Any] | None = None
    measured: dict[str, Any] | None = None
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0

    def add(self, losses: Mapping[str, float]) -> None:
        """Take in the losses of a step."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in losses.items()}
        self.counted += 1

    def means(self) -> dict[str, float]:
        """The mean losses since the last call."""
        found = {name: value / self.counted for name, value in self.sums.items()}
        self.sums, self.counted = {}, 0
        return found

    def improves(self, score: float, epoch: int) -> bool:
        """Take in a validation score; whether it is the best."""
        if self.best is not None and score <= self.best:
            self.stale += 1
            return False
        self.best, self.best_epoch, self.stale = score, epoch, 0
        return True
