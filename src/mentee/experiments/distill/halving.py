"""Successive halving: all configurations a little, the better third further, and so on.

Which runs are next is decided by the runs' own folders alone, so after any stop the same decisions
are made again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mentee.experiments.jobs import Job
from mentee.experiments.progress import SweepObserver
from mentee.experiments.rows import score_name
from mentee.experiments.search import rung
from mentee.experiments.workers import WorkerMessage
from mentee.tasks import DIRECTIONS

FACTOR = 3
"""One of so many passes a rung."""


@dataclass(frozen=True)
class Trial:
    """One configuration with one seed.

    Attributes:
        main: the run with labels.
        first: the run without labels that it starts from; None: it starts from nothing.
    """

    main: Job
    first: Job | None = None

    @property
    def name(self) -> str:
        """That of its run."""
        return self.main.name

    @property
    def sign(self) -> int:
        """1 where a higher score is better, −1 of an error."""
        return 1 if DIRECTIONS.get(self.main.recipe.select.by or "", True) else -1

    @property
    def jobs(self) -> list[Job]:
        """Its runs, in order."""
        return [self.main] if self.first is None else [self.first, self.main]

    def rung(self, share: float) -> int:
        """The epoch of the main run at a share of its length, where it is validated."""
        epochs = self.main.recipe.train.epochs
        return min(epochs, rung(share, epochs, self.main.recipe.select.every))

    def score(self, share: float = 1.0) -> float | None:
        """The best validation score up to a share of the run; higher is better; None: not there.

        It is the score of the weights that would be kept.
        """
        epoch = self.rung(share)
        lines = [each for each in self.main.folder.read_metrics() if "validation" in each]
        if not lines or (lines[-1]["epoch"] < epoch and not self.main.finished):
            return None
        scores = [each["validation"] for each in lines if each["epoch"] <= epoch]
        name = score_name(self.main.recipe.select.by, scores[0])
        return max(self.sign * float(each[name]) for each in scores)

    def next_job(self, share: float) -> Job | None:
        """The run that leads to a share of its length; None: it is there."""
        if self.first is not None and not self.first.finished:
            return self.first
        if share < 1:
            return (
                None
                if self.score(share) is not None
                else replace(self.main, until=self.rung(share))
            )
        return None if self.main.finished else self.main


class Halving(SweepObserver):
    """Trains trials from rung to rung; a third of them passes each.

    Args:
        trials: all of them, the most promising first: equal scores keep this order.
        shares: of a run's length, at which trials are stopped, rising, the last one 1.
        least: so many pass at least.
        kept: names of trials that are never stopped.
        failed: why runs have failed so far, by name; it grows meanwhile.
        say: called with a line for each rung that is complete.

    Attributes:
        dropped: by name of a trial the rung at which it was stopped.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        shares: Sequence[float],
        *,
        least: int,
        kept: Sequence[str] = (),
        failed: Mapping[str, str] | None = None,
        say: Callable[[str], None],
    ) -> None:
        self.trials, self.shares, self.least = list(trials), shares, least
        self.kept, self.failed, self.say = kept, dict(failed or {}), say
        self.dropped: dict[str, int] = {}
        self._running: set[str] = set()

    def first_jobs(self, todo: Sequence[Job]) -> Sequence[Job]:
        """The runs that are missing for the first rung that is not complete."""
        return self._start()

    def next_jobs(self, message: WorkerMessage, failed: Mapping[str, str]) -> Sequence[Job]:
        """The runs to add after one has ended."""
        self.failed |= failed
        self._running.discard(message.name)
        return self._start()

    def survivors(self) -> list[Trial]:
        """Those that have come to their end, the best first."""
        return self._state()[1]

    def _start(self) -> list[Job]:
        missing = {job.name: job for job in self._state()[0]}  # trials may share a first run
        jobs = [job for name, job in missing.items() if name not in self._running]
        self._running |= {job.name for job in jobs}
        return jobs

    def _state(self) -> tuple[list[Job], list[Trial]]:
        """The runs that are missing for the rung at hand, and the trials that are in it."""
        active = self.trials
        for number, share in enumerate(self.shares):
            active = [t for t in active if not any(job.name in self.failed for job in t.jobs)]
            missing = [job for t in active if (job := t.next_job(share)) is not None]
            if missing:
                return missing, []
            active = sorted(active, key=lambda t: -or_least(t.score(share)))  # stable
            if number < len(self.shares) - 1:
                count = max(self.least, math.ceil(len(active) / FACTOR))
                passed = [t for i, t in enumerate(active) if i < count or t.name in self.kept]
                names = {t.name for t in passed}
                dropped = {t.name: number for t in active if t.name not in names}
                if not dropped.keys() <= self.dropped.keys():
                    self.say(f"{len(passed)} of {len(active)} configurations go on")
                self.dropped |= dropped
                active = passed
        return [], active


def or_least(score: float | None) -> float:
    """A score; none is below all, and so is one that is not a number."""
    return -math.inf if score is None or math.isnan(score) else score


def shares(rungs: int) -> list[float]:
    """The shares of a run's length at so many rungs.

    Example:
        >>> [round(each, 3) for each in shares(3)]
        [0.111, 0.333, 1.0]
    """
    return [float(FACTOR) ** -(rungs - 1 - number) for number in range(rungs)]


def cost(count: int, rungs: int, least: int) -> float:
    """How many whole runs a search of so many trials takes.

    Example:
        >>> round(cost(12, 3, 2), 2)
        3.56
    """
    done, total = 0.0, 0.0
    for share in shares(rungs):
        total, done = total + count * (share - done), share
        count = min(count, max(least, math.ceil(count / FACTOR)))
    return total


def as_json(trial: Trial, dropped: Mapping[str, int], ends: Sequence[float]) -> dict[str, Any]:
    """The entry of a trial in `distill.json`."""
    last = dropped.get(trial.name, len(ends) - 1)
    score = trial.score(ends[last])
    return {
        "run": trial.name,
        "student": trial.main.student,
        "strategy": trial.main.method,
        "validation": None if score is None else trial.sign * score,
        "epochs": trial.rung(ends[last]),
        "of": trial.main.recipe.train.epochs,
        "stopped": trial.name in dropped,
        "lower_is_better": trial.sign < 0,
    }
