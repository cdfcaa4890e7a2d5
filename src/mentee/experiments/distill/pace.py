"""The seconds that runs take: measured of some steps, and then of the runs of a rung."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mentee.build.setup import TrainingSetup
from mentee.distillation.loop import train
from mentee.distillation.weights import FIRST
from mentee.experiments.distill.halving import Trial
from mentee.training.costs import timed

MOST_VIEWS = 8
STEPS = 8
"""That are timed, after the first ones, in which gradient norms are measured too."""
MOST_SECONDS = 10.0
"""For the steps that are timed: slow ones are fewer."""
FORWARD = 1 / 3
"""Of a training step's time, for as many examples that are only scored."""


@dataclass(frozen=True)
class Pace:
    """The seconds that a run takes: `fixed` and, for each epoch, `epoch`."""

    fixed: float
    epoch: float

    def seconds(self, epochs: float) -> float:
        """Of a run of so many epochs."""
        return self.fixed + self.epoch * epochs

    def longest(self, seconds: float, turns: Sequence[int], shares: Sequence[float]) -> float:
        r"""The epochs of the longest runs, of several kinds that follow one another.

        .. math:: e = \frac{s - f \sum_i n_i}{p \sum_i n_i a_i}

        Args:
            seconds: s, for all.
            turns: n, how many runs of each kind follow one another.
            shares: a, the length of each kind, 1 of the longest.
        """
        whole = sum(n * share for n, share in zip(turns, shares, strict=True))
        return (seconds - self.fixed * sum(turns)) / (whole * max(self.epoch, 1e-9))


def first_pace(setups: Sequence[TrainingSetup], seconds: float, batches: int) -> Pace:
    """The pace before anything is trained, by some steps of each method, with the teacher's record.

    Args:
        setups: of the methods; not to be used any more.
        seconds: that it took to build one; its scores and its page take as long again.
        batches: the steps of an epoch of the labeled examples. One that has unlabeled examples too
            has more, so a method's own epochs do not count.
    """
    steps = [step_seconds(each) * (1 + FORWARD * scored(each)) for each in setups]
    return Pace(2 * seconds, batches * sum(steps) / len(steps))


def measured_pace(trials: Sequence[Trial], epochs: int, outside: float) -> Pace:
    """The pace of finished trials of so many epochs, from the summaries of their runs.

    All that the runs count is taken for epochs, though some of it comes once: a longer run takes at
    most as long as its estimate.

    Args:
        trials: of a rung.
        epochs: of each.
        outside: seconds of a trial that its runs do not count, of `seconds_outside`.
    """
    seconds = sum(job.read_summary()["seconds"] for trial in trials for job in trial.jobs)
    return Pace(outside, seconds / len(trials) / epochs)


def seconds_outside(trials: Sequence[Trial], seconds: float, turns: int) -> float:
    """Those of a trial that its runs do not count: building, its page, a process that begins.

    Args:
        trials: of a rung, finished.
        seconds: that the rung took.
        turns: how many of its trials followed one another.
    """
    jobs = {job.name: job for trial in trials for job in trial.jobs}
    counted: float = sum(job.read_summary()["seconds"] for job in jobs.values())
    return max(0.0, seconds / turns - counted / len(trials))


def scored(setup: TrainingSetup) -> float:
    """Validation examples for each training example."""
    return len(setup.splits.validation or ()) / len(setup.splits.train)


def step_seconds(setup: TrainingSetup) -> float:
    """Of a step, from the batch to the weights."""
    steps = train(
        setup.module,
        setup.teacher,
        setup.batches,
        setup.optimizer,
        setup.plan,
        setup.accelerator,
        average=setup.average,
    )
    seconds = list[float]()
    for _, each in timed(steps):
        seconds.append(each)
        if len(seconds) == FIRST + STEPS or sum(seconds) > MOST_SECONDS:
            break
    last = seconds[FIRST:] or seconds[-1:]
    return sum(last) / len(last)


def views_in_time(setup: TrainingSetup, seconds: float) -> int:
    """How many views of the teacher can be recorded, beside the clean one, in so many seconds."""
    teacher, _ = next(iter(setup.online_teachers.values()))
    batch = setup.splits.first(64).to(setup.accelerator.device)
    teacher(batch)
    began = time.perf_counter()
    teacher(batch)
    whole = (time.perf_counter() - began) / len(batch) * len(setup.splits.train)
    return min(MOST_VIEWS, max(1, int(seconds / whole) - 1))
