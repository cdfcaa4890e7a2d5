"""What a person is told of a sweep while it goes on, and what became of its runs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mentee.experiments.jobs import Job
from mentee.experiments.pace import TimeEstimate
from mentee.experiments.rows import MAIN
from mentee.experiments.shared_record import Fit
from mentee.experiments.worker import WorkerMessage
from mentee.report import duration

SAID = 60.0
"""Seconds between two lines about how far it is."""


class SweepObserver:
    """Sees what becomes of a sweep's runs, and says which come next; this one lets them be."""

    def begin(self, todo: Sequence[Job]) -> Sequence[Job]:
        """Which runs are trained first, how far, and in which order.

        Args:
            todo: all that are left, as they will be trained.
        """
        return todo

    def ended(self, told: WorkerMessage, failed: Mapping[str, str]) -> Sequence[Job]:
        """Which runs come next, after one has finished, failed or paused.

        Args:
            told: what became of it.
            failed: why runs failed so far, by name.
        """
        return ()


class SweepProgress:
    """Hears what the runs tell, and says it in lines.

    Args:
        jobs: all runs of the sweep.
        say: what to do with a line of text.

    Attributes:
        failed: why runs failed, by name.
    """

    def __init__(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        self.jobs, self.say = jobs, say
        self.failed: dict[str, str] = {}
        self._done = {job.name for job in jobs if job.finished}
        self._pace, self._said_at = TimeEstimate({}), 0.0

    def plan(self, todo: Sequence[Job], found: Mapping[tuple[str, str], Fit]) -> list[Job]:
        """Say what will be done; those that cannot be trained fail here.

        Args:
            todo: the runs that are not finished.
            found: what is known of each pair.

        Returns:
            The runs that can be trained.
        """
        fit = [job for job in todo if found[job.pair].problem is None]
        steps = {job.name: found[job.pair].steps for job in fit}
        begun = sum(job.begun for job in fit)
        parts = [f"{len(self.jobs)} runs", f"{len(self._done)} finished before" * bool(self._done)]
        parts += [f"{begun} begun before" * bool(begun), f"{sum(steps.values()):,} steps to train"]
        self.say(", ".join(part for part in parts if part))
        for job in todo:
            problem = found[job.pair].problem
            if problem is not None:
                self._fail(job.name, problem)
        self._pace = TimeEstimate(steps)
        return fit

    def hear(self, told: WorkerMessage) -> None:
        """Take in what a run tells, and say what a person wants to know of it."""
        if told.what == "step":
            first = not self._pace.left()
            self._pace.reached(told.name, told.step)
            now = time.monotonic()
            if self._pace.left() and (first or now - self._said_at > SAID):
                self._said_at = now
                self.say(f"{len(self._done)} of {len(self.jobs)} finished, {self._pace.left()}")
            return
        if told.what == "paused":
            return
        self._pace.ended(told.name)
        if told.what == "failed":
            self._fail(told.name, told.text)
        if told.what == "finished":
            self._done.add(told.name)
            job = next(job for job in self.jobs if job.name == told.name)
            summary = json.loads(job.folder.summary.read_text(encoding="utf-8"))
            parts = [told.name, score_text(summary), duration(summary["seconds"])]
            self.say("  ".join([*parts, f"({len(self._done)} of {len(self.jobs)})"]))

    def _fail(self, name: str, text: str) -> None:
        self.failed[name] = text
        self.say(f"{name}  failed: {text}")


def main_score(summary: Mapping[str, Any]) -> tuple[str, float] | None:
    """(name, value) of the score that counts, on the test part where there is one."""
    scores = summary.get("test") or summary.get("validation") or {}
    names = [summary["score"]["name"]] if summary.get("score") else MAIN
    return next(((name, float(scores[name])) for name in names if name in scores), None)


def score_text(summary: Mapping[str, Any]) -> str:
    """The same in words."""
    found = main_score(summary)
    where = "test" if summary.get("test") else "validation"
    return "no labels to score against" if found is None else f"{where} {found[0]} {found[1]:.4f}"


def spread(scores: Sequence[float]) -> str:
    """The mean of some scores with their standard deviation.

    Example:
        >>> spread([0.5, 0.6, 0.7]), spread([0.5]), spread([])
        ('0.6000 ± 0.1000 (3 seeds)', '0.5000 (1 seed)', 'no score')
    """
    if not scores:
        return "no score"
    if len(scores) == 1:
        return f"{scores[0]:.4f} (1 seed)"
    mean, deviation = statistics.mean(scores), statistics.stdev(scores)
    return f"{mean:.4f} ± {deviation:.4f} ({len(scores)} seeds)"
