"""The state of a run between its steps: times, scores and sums of losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mentee.errors import RunError
from mentee.metrics import score_gain


@dataclass(frozen=True)
class Growth:
    """How much a kNN score has improved.

    Attributes:
        gain: since the last one that was clearly better.
        noise: the standard error of that.
        best: whether it is the highest so far.
    """

    gain: float
    noise: float
    best: bool


@dataclass
class RunState:
    """The state of a run other than its networks; saved with every checkpoint.

    Attributes:
        seconds: spent in training steps.
        wall: spent in all.
        best: the best validation score so far.
        best_epoch: the epoch, from 1, it was reached in.
        stale: evaluations since then; by neighbors, since one that was clearly better.
        clear: of the last one that was, the scores without each group of examples.
        cooldown: the steps between which the rate falls to zero, once the run is to stop early.
        teachers: each teacher's own scores, on how many validation examples, by name; one that
            is alone has none.
        measured: in the first `steps`, of each of the `losses` its mean unweighted value and its
            weight, and its weighted gradient norm in the first one over that of the loss `beside`.
        sums: the losses of the steps since the last line of the metrics, added up.
        counted: how many steps those are.
    """

    seconds: float = 0.0
    wall: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    clear: list[float] | None = None
    cooldown: tuple[int, int] | None = None
    teachers: dict[str, dict[str, Any]] = field(default_factory=dict)
    measured: dict[str, Any] | None = None
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> RunState:
        """The state that a checkpoint holds."""
        try:
            return cls(**state)
        except TypeError as error:
            raise RunError(
                f"the checkpoint's run state is of another version or was changed ({error}); "
                "delete it to resume from an older one, or start again"
            ) from error

    def add(self, losses: Mapping[str, float]) -> None:
        """Add the losses of a step."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in losses.items()}
        self.counted += 1

    def means(self) -> dict[str, float]:
        """The mean losses since the last call."""
        means = {name: value / self.counted for name, value in self.sums.items()}
        self.sums, self.counted = {}, 0
        return means

    def improves(self, score: float, epoch: int, *, higher: bool = True) -> bool:
        """Store a validation score; whether it is the best, of those where higher is better."""
        if self.best is not None and (score <= self.best if higher else score >= self.best):
            self.stale += 1
            return False
        self.best, self.best_epoch, self.stale = score, epoch, 0
        return True

    def grows(self, score: float, left_out: Sequence[float], epoch: int) -> Growth:
        """Store a kNN score; how much better it is than the last clearly better one.

        One that grows by no more than its noise leaves that one where it is, so that small gains
        add up until they are clear.
        """
        difference, noise = (0.0, 0.0) if self.clear is None else score_gain(left_out, self.clear)
        if self.clear is None or difference > noise:
            self.clear, self.stale = list(left_out), 0
        else:
            self.stale += 1
        best = self.best is None or score > self.best
        if best:
            self.best, self.best_epoch = score, epoch
        return Growth(difference, noise, best)
