"""How long runs are, so that a search ends in the minutes that it has."""

from __future__ import annotations

from collections.abc import Sequence

from mentee.build import compute_mode
from mentee.build.setup import TrainingSetup
from mentee.experiments.distill.halving import Trial, cost

SEARCH_SHARE = 0.4
"""Of the time, for the search; the rest is for the runs that are compared."""
SHORTEST, LONGEST = 3, 300
"""Epochs of a run."""
OVERHEAD = 1.5
"""A step of a run with data, teacher and loss, in forward and backward passes of the student."""


def search_epochs(
    setup: TrainingSetup, minutes: float, trials: int, kept: int, parallel: int
) -> int:
    """The epochs of a run of the search.

    Args:
        setup: of a run from scratch.
        minutes: for everything.
        trials: that are begun.
        kept: of these come to the end at least.
        parallel: runs that train at once.
    """
    seconds = SEARCH_SHARE * 60 * minutes * parallel
    epochs = seconds / (cost(trials, 3, kept) * OVERHEAD * epoch_seconds(setup))
    return within(epochs)


def final_epochs(searched: Sequence[Trial], seconds: float, runs: int, parallel: int) -> int:
    """The epochs of so many last runs, by what the runs of the search have taken.

    Args:
        searched: trials that came to their end.
        seconds: that are left.
        runs: of the comparison.
        parallel: that train at once.
    """
    done = [trial.main.read_summary() for trial in searched]
    each = sum(run["seconds"] / run["epochs"] for run in done) / len(done)
    return within(seconds * parallel / (runs * each))


def epoch_seconds(setup: TrainingSetup) -> float:
    """Of an epoch's forward and backward passes, with the threads that this process has."""
    train = setup.recipe.train
    batch = setup.splits.first(train.batch).inputs
    trial = compute_mode.Trial(setup.network, setup.student_layers, batch, setup.accelerator)
    call = trial.call(train.channels_last is True, False)
    call()
    milliseconds = compute_mode.milliseconds(compute_mode.in_turn({"": call})[0])
    return milliseconds / 1e3 * setup.splits.batches(train)


def within(epochs: float) -> int:
    """So many epochs, within what is sensible."""
    return int(min(LONGEST, max(SHORTEST, epochs)))
