"""The lines that a sweep prints while it trains, and how long the rest will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mentee.experiments.jobs import Job
from mentee.experiments.rows import MAIN_SCORES
from mentee.experiments.shared_record import PairCheck
from mentee.experiments.workers import WorkerMessage
from mentee.report import duration
from mentee.report import spread as spread_of

LINE_INTERVAL = 60.0
"""Seconds between two lines about the steps that are done."""
PACE, WARM_UP = 60.0, 10.0
"""Seconds whose pace counts for the time left, and until there is an estimate."""


class SweepObserver:
    """Is called with every run that ends, and may choose the order of runs; this one does not."""

    def first_jobs(self, todo: Sequence[Job]) -> Sequence[Job]:
        """The runs to train first, how far, and in which order, of all that are left."""
        return todo

    def next_jobs(self, message: WorkerMessage, failed: Mapping[str, str]) -> Sequence[Job]:
        """The runs to add to the queue after one has finished, failed or paused."""
        return ()


class TimeEstimate:
    """Estimates the time left by the pace of the last minute, of all runs that train side by side.

    The first seconds, in which runs begin one after the other, say nothing of it.

    Example:
        >>> seconds = iter([0.0, 10.0])
        >>> estimate = TimeEstimate({"a": 100, "b": 100}, clock=lambda: next(seconds))
        >>> estimate.update("a", 1), estimate.update("a", 51)
        (None, None)
        >>> estimate.remaining()
        '26 % of the steps, about 30 s left'
    """

    def __init__(
        self, steps: Mapping[str, int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.steps, self._clock = dict(steps), clock
        self._done: dict[str, int] = {}
        self._counts: deque[tuple[float, int]] = deque()  # (time, steps counted until then)

    def update(self, name: str, step: int) -> None:
        """Note a run's newest step; its first one says where it was resumed."""
        if name not in self.steps:  # how many there are nobody has told
            return
        counted = self._counts[-1][1] if self._counts else 0
        self._counts.append((self._clock(), counted + step - self._done.get(name, step)))
        self._done[name] = step
        while len(self._counts) > 2 and self._counts[-1][0] - self._counts[1][0] > PACE:
            self._counts.popleft()

    def finish(self, name: str) -> None:
        """Note that a run has ended, whether finished or failed."""
        if name not in self.steps:
            return
        if name in self._done:
            self.update(name, self.steps[name])
        self._done[name] = self.steps[name]

    def remaining(self) -> str:
        """The share of the steps that are done, and the time left; empty: not known yet."""
        rest = sum(count - self._done.get(name, 0) for name, count in self.steps.items())
        if not self._counts:
            return ""
        (began, before), (now, counted) = self._counts[0], self._counts[-1]
        if counted == before or now - began < WARM_UP:
            return ""
        seconds = (now - began) / (counted - before) * rest
        share = 1 - rest / sum(self.steps.values())
        return f"{share:.0%} of the steps, about {duration(seconds)} left".replace("%", " %")


class SweepProgress:
    """Turns the messages of the workers into lines of text; `failed`: why runs failed, by name."""

    def __init__(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        self.jobs, self.say = list(jobs), say
        self.failed: dict[str, str] = {}
        self._done = {job.name for job in jobs if job.finished}
        self._time, self._last_line = TimeEstimate({}), 0.0

    def start(self, todo: Sequence[Job], checks: Mapping[tuple[str, str], PairCheck]) -> list[Job]:
        """Print what is left to train; returns the runs that can be trained."""
        jobs = [job for job in todo if checks[job.pair].problem is None]
        steps = {job.name: checks[job.pair].steps for job in jobs}
        started = sum(job.started for job in jobs)
        parts = [f"{len(self.jobs)} runs", f"{len(self._done)} finished before" * bool(self._done)]
        parts += [f"{started} started before" * bool(started)]
        parts += [f"{sum(steps.values()):,} steps to train"]
        self.say(", ".join(part for part in parts if part))
        for job in todo:
            problem = checks[job.pair].problem
            if problem is not None:
                self._fail(job.name, problem)
        self._time = TimeEstimate(steps)
        return jobs

    def add(self, jobs: Sequence[Job]) -> int:
        """Note more runs, whose steps are not known; returns how many are not finished yet."""
        known = {job.name for job in self.jobs}
        new = [job for job in jobs if job.name not in known]
        self.jobs += new
        finished = {job.name for job in new if job.finished}
        self._done |= finished
        return len(new) - len(finished)

    def receive(self, message: WorkerMessage) -> None:
        """Note a message of a worker, and print a line where a person wants one."""
        if message.event == "step":
            first = not self._time.remaining()
            self._time.update(message.name, message.step)
            now, remaining = time.monotonic(), self._time.remaining()
            if remaining and (first or now - self._last_line > LINE_INTERVAL):
                self._last_line = now
                self.say(f"{len(self._done)} of {len(self.jobs)} finished, {remaining}")
            return
        if message.event == "lost":
            self.say(f"{message.name}  lost: {message.text}; it is started again")
        if message.event in ("lost", "paused"):
            return
        self._time.finish(message.name)
        if message.event == "failed":
            self._fail(message.name, message.text)
        if message.event == "finished":
            self._done.add(message.name)
            summary = next(job for job in self.jobs if job.name == message.name).read_summary()
            parts = [message.name, score_text(summary), duration(summary["seconds"])]
            self.say("  ".join([*parts, f"({len(self._done)} of {len(self.jobs)})"]))

    def _fail(self, name: str, text: str) -> None:
        self.failed[name] = text
        self.say(f"{name}  failed: {text}")


def main_score(summary: Mapping[str, Any]) -> tuple[str, float] | None:
    """(name, value) of a run's main score, on the test part where there is one."""
    scores = summary.get("test") or summary.get("validation") or {}
    names = [summary["score"]["name"]] if summary.get("score") else MAIN_SCORES
    return next(((name, float(scores[name])) for name in names if name in scores), None)


def score_text(summary: Mapping[str, Any]) -> str:
    """The main score as text."""
    score = main_score(summary)
    part = "test" if summary.get("test") else "validation"
    return "no labels to score against" if score is None else f"{part} {score[0]} {score[1]:.4f}"


def spread(scores: Sequence[float]) -> str:
    """Mean and sample standard deviation over seeds, and how many seeds there are.

    Example:
        >>> spread([0.5, 0.6, 0.7]), spread([0.5, 0.6]), spread([])
        ('0.6000 ± 0.1000 (3 seeds)', '0.5500 (0.5000, 0.6000)', 'no score')
    """
    text = spread_of(scores) or "no score"
    counts = {1: " (1 seed)"} | (
        {len(scores): f" ({len(scores)} seeds)"} if len(scores) > 2 else {}
    )
    return text + counts.get(len(scores), "")
