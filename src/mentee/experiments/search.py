"""Successive halving over the methods of a comparison: poor ones are stopped early, by optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mentee.errors import MenteeError, RecipeError, RunError
from mentee.experiments.rows import SCRATCH, STOPPED, score_name
from mentee.experiments.sweep import Job
from mentee.experiments.workers import WorkerMessage
from mentee.recipe import Recipe
from mentee.tasks import DIRECTIONS

FACTOR = 3
"""One of this many methods passes each rung."""
JOURNAL = "optuna.log"


class SuccessiveHalving:
    """Trains the first seed from rung to rung; methods that pass all rungs get the other seeds.

    A method passes a rung if its validation score there is among the best third of those that have
    reached it so far (optuna's `SuccessiveHalvingPruner`). From scratch is never stopped. A stopped
    run is saved and can be resumed.

    Args:
        recipe: of all runs.
        jobs: all runs.
        share: of the epochs, before the first rung; in (0, 1).
        out: the folder of optuna's journal, which keeps scores and decisions after any stop.

    Attributes:
        rungs: the epochs after which methods are stopped.

    Raises:
        RecipeError: there is no validation score, or the share leaves no epoch to save.
        MenteeError: optuna is not installed.
    """

    def __init__(self, recipe: Recipe, jobs: Sequence[Job], share: float, out: Path) -> None:
        self.jobs, self.out, self.share = jobs, out, share
        self.seed, self.epochs = recipe.train.seed, recipe.train.epochs
        self.higher = DIRECTIONS.get(recipe.select.by or "", True)
        self.rungs = rungs(recipe.train.epochs, share, recipe.select.every)
        if recipe.data.validation is None:
            raise RecipeError(
                "a budget stops methods by their validation score, and data.validation is null; "
                "give it a share or a split, or leave the budget out"
            )
        if not self.rungs:
            raise RecipeError(
                f"a budget of {share:g} of {recipe.train.epochs} epochs leaves nothing to stop "
                f"(validated every {recipe.select.every}); expected a smaller share above 0"
            )
        self._optuna = _optuna()
        self._states = self._optuna.trial.TrialState
        self._studies: dict[str, Any] = {}
        self._todo: dict[str, Job] = {}

    def first_jobs(self, todo: Sequence[Job]) -> list[Job]:
        """All runs of scratch, the first seed of the others, the rest where that is finished."""
        self._todo = {job.name: job for job in todo}
        done = {job.pair for job in self.jobs if job.seed == self.seed and job.finished}
        first = [self._next(job) for job in todo if job.seed == self.seed]
        rest = [job for job in todo if job.seed != self.seed]
        return [
            *(job for job in first if job is not None),
            *(job for job in rest if job.method == SCRATCH or job.pair in done),
        ]

    def next_jobs(self, message: WorkerMessage) -> list[Job]:
        """The runs after one has ended: its next part, its other seeds, or none."""
        job = self._todo.get(message.name)
        if job is None or job.seed != self.seed:
            return []
        if message.event == "paused":
            self._report(job, message.step)
            part = self._next(job, message.step)
            return [] if part is None else [part]
        trial, value = self._trial(job), last_score(job, None)
        if not trial.state.is_finished():
            complete = message.event == "finished" and value is not None
            state = self._states.COMPLETE if complete else self._states.FAIL
            self._study(job).tell(trial.number, value if complete else None, state=state)
        if message.event != "finished" or job.method == SCRATCH:
            return []
        return [o for o in self._todo.values() if o.pair == job.pair and o.seed != self.seed]

    def stopped(self) -> dict[str, str]:
        """The state of the runs that were stopped, by name."""
        states: dict[tuple[str, str], str] = {}
        for job in (job for job in self.jobs if job.seed == self.seed and not job.finished):
            trial = self._find_trial(job)
            if trial is None or trial.state != self._states.PRUNED:
                continue
            epoch = max(trial.intermediate_values)
            value = trial.intermediate_values[epoch]
            states[job.pair] = f"{STOPPED} after epoch {epoch}: validation {value:.4f}"
        left = (job for job in self.jobs if job.pair in states and not job.finished)
        return {job.name: states[job.pair] for job in left}

    def summary(self) -> dict[str, Any]:
        """The `budget` of `compare.json`."""
        return {
            "share": self.share,
            "factor": FACTOR,
            "rungs": self.rungs,
            "epochs": self.epochs,
            "stopped": self.stopped(),
        }

    def _next(self, job: Job, passed: int = 0) -> Job | None:
        """The run of the first seed up to its next rung; None: it was stopped."""
        trial = self._trial(job)
        if trial.state == self._states.PRUNED:
            return None
        passed = max(passed, *trial.intermediate_values, 0)
        return replace(job, until=next((rung for rung in self.rungs if rung > passed), None))

    def _report(self, job: Job, epoch: int) -> None:
        """Report a run's score at a rung to optuna, which may stop it."""
        frozen, value = self._trial(job), last_score(job, epoch)
        if value is None or epoch in frozen.intermediate_values:
            return
        trial = self._optuna.trial.Trial(self._study(job), frozen._trial_id)
        trial.report(value, epoch)
        if trial.should_prune() and job.method != SCRATCH:
            self._study(job).tell(trial, state=self._states.PRUNED)

    def _study(self, job: Job) -> Any:
        """The study of a student's methods."""
        if job.student not in self._studies:
            storages = self._optuna.storages
            backend = storages.journal.JournalFileBackend(str(self.out / JOURNAL))
            try:
                self._studies[job.student] = self._optuna.create_study(
                    study_name=job.student,
                    storage=storages.JournalStorage(backend),
                    direction="maximize" if self.higher else "minimize",
                    pruner=self._optuna.pruners.SuccessiveHalvingPruner(
                        min_resource=self.rungs[0], reduction_factor=FACTOR
                    ),
                    load_if_exists=True,
                )
            except Exception as error:  # optuna reports a damaged line in several ways
                raise RunError(
                    f"{self.out / JOURNAL} cannot be read, it is cut or was changed ({error}); "
                    "delete it, and the methods are judged again by their metrics"
                ) from error
        return self._studies[job.student]

    def _find_trial(self, job: Job) -> Any:
        """The trial of a run that has not failed; None: there is none."""
        for trial in self._study(job).get_trials(deepcopy=False):
            if trial.user_attrs.get("run") == job.name and trial.state != self._states.FAIL:
                return trial
        return None

    def _trial(self, job: Job) -> Any:
        """The trial of a run, created where there is none."""
        if self._find_trial(job) is None:
            self._study(job).ask().set_user_attr("run", job.name)
        return self._find_trial(job)


def rungs(epochs: int, share: float, every: int) -> list[int]:
    """The epochs after which methods are stopped: a share of all, and each next thrice as late.

    There are validations `every` so many epochs.

    Raises:
        RecipeError: the share is not in (0, 1).

    Example:
        >>> rungs(30, 0.1, 1), rungs(30, 0.25, 5), rungs(2, 0.9, 1)
        ([3, 9, 27], [10], [])
    """
    if not 0 < share < 1:
        raise RecipeError(f"a budget is a share of the epochs above 0 and below 1, not {share:g}")
    first, result = rung(share, epochs, every), []
    while first < epochs:
        result.append(first)
        first *= FACTOR
    return result


def rung(share: float, epochs: int, every: int) -> int:
    """The epoch at a share of all, at least the first, rounded up to one with a validation."""
    return math.ceil(max(1, math.floor(share * epochs + 0.5)) / every) * every


def last_score(job: Job, epoch: int | None) -> float | None:
    """The newest validation score of a run, up to an epoch."""
    for line in reversed(job.folder.read_metrics()):
        if "validation" in line and (epoch is None or line["epoch"] <= epoch):
            scores: Mapping[str, float] = line["validation"]
            return scores.get(score_name(job.recipe.select.by, scores))
    return None


def _optuna() -> Any:
    try:
        import optuna
        import optuna.storages.journal
    except ImportError:
        raise MenteeError(
            "--budget needs optuna, which is not installed; pip install 'mentee[compare]', or "
            "leave the budget out"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
