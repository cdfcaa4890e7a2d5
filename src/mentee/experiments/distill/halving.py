"""Successive halving: all configurations in short runs, the better third in longer ones, and so on.

Each run is a whole one, whose learning rate rises and falls within its own length. Which runs are
next follows from the folders alone, so after any stop the same decisions are made again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mentee.experiments.jobs import Job
from mentee.experiments.progress import SweepObserver
from mentee.experiments.rows import score_name
from mentee.experiments.search import FACTOR
from mentee.experiments.workers import WorkerMessage
from mentee.tasks import DIRECTIONS

Ranked = TypeVar("Ranked")
LEAST = 2
"""So many pass each rung at least."""


@dataclass(frozen=True)
class Trial:
    """One configuration with one seed and length.

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

    def validation(self) -> float | None:
        """The validation score of its weights; None: there is none, or it is not a number."""
        scores = self._scores()
        value = scores.get(score_name(self.main.recipe.select.by, scores))
        return None if value is None or math.isnan(value) else float(value)

    def rank(self) -> tuple[float, float]:
        """What trials are sorted by: the best first, of equal ones the one with the least loss.

        Those without a score are last.
        """
        value = self.validation()
        loss = self._scores().get("loss", math.inf)
        return math.inf if value is None else -self.sign * value, loss

    def _scores(self) -> Mapping[str, float]:
        return (self.main.read_summary()["validation"] or {}) if self.main.finished else {}

    def next_job(self, failed: Mapping[str, str]) -> Job | None:
        """The run to train next; None: all are finished, or one has failed."""
        if any(job.name in failed for job in self.jobs):
            return None
        return next((job for job in self.jobs if not job.finished), None)


class Rounds(SweepObserver):
    """Trains the trials of one round after the other; the next round follows from their results.

    Args:
        rounds: asked for the next round when all runs of the last have ended.
        failed: why runs have failed so far, by name; it grows meanwhile.
        on_end: called whenever a run has ended.
    """

    def __init__(
        self,
        rounds: Iterator[Sequence[Trial]],
        failed: Mapping[str, str],
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        self._rounds, self._failed, self._on_end = rounds, failed, on_end
        self._trials: Sequence[Trial] | None = ()
        self._running: set[str] = set()

    def first_jobs(self, todo: Sequence[Job]) -> Sequence[Job]:
        """The runs that are missing for the first round that is not complete."""
        return self._start()

    def next_jobs(self, message: WorkerMessage, failed: Mapping[str, str]) -> Sequence[Job]:
        """The runs to add after one has ended."""
        self._running.discard(message.name)
        self._on_end()
        return self._start()

    def _start(self) -> list[Job]:
        while self._trials is not None:
            next_jobs = [trial.next_job(self._failed) for trial in self._trials]
            missing = {job.name: job for job in next_jobs if job}  # trials may share a first run
            if missing:
                jobs = [job for name, job in missing.items() if name not in self._running]
                self._running |= missing.keys()
                return jobs
            self._trials = next(self._rounds, None)
        return []


def passing(ranked: Sequence[Ranked], group: Callable[[Ranked], Hashable | None]) -> list[Ranked]:
    """The best third, and the best one of each group; None: of no group.

    Example:
        >>> passing(["b2", "a1", "c1", "b1", "c2"], lambda name: name[0] if name[0] > "b" else None)
        ['b2', 'a1', 'c1']
    """
    groups, passed = set[Hashable](), list[Ranked]()
    for number, each in enumerate(ranked):
        key = group(each)
        if number < third(len(ranked)) or (key is not None and key not in groups):
            passed.append(each)
        groups.add(key)
    return passed


def third(count: int) -> int:
    """A third of so many, rounded up, and `LEAST` at least."""
    return min(count, max(LEAST, math.ceil(count / FACTOR)))


def as_json(trials: Mapping[int, Trial], *, stopped: bool) -> dict[str, Any]:
    """The entry of a configuration in `distill.json`; `trials`: by their epochs."""
    scores = {str(epochs): trial.validation() for epochs, trial in trials.items()}
    last = max(trials)
    main = trials[last].main
    return {
        "run": main.name,
        "student": main.student,
        "strategy": main.method,
        "epochs": last,
        "validation": scores[str(last)],
        "rungs": scores,
        "stopped": stopped,
        "lower_is_better": trials[last].sign < 0,
    }
