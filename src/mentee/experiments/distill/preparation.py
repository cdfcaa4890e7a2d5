"""Before a search: a look at the data, and what fits budget and teacher."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from mentee.build.data_summary import data_summary
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import TrainingSetup, build
from mentee.errors import MenteeError, RecipeError
from mentee.experiments.distill.candidates import Budget, Candidate, candidates
from mentee.experiments.distill.latency import latency
from mentee.experiments.distill.lengths import Lengths
from mentee.experiments.distill.look import look
from mentee.experiments.distill.pace import first_pace
from mentee.experiments.distill.strategies import FROM_SCRATCH, Strategy, strategies
from mentee.experiments.distill.trials import Configuration, Planner
from mentee.experiments.jobs import Job
from mentee.experiments.shared_record import PairCheck, check_pair, with_shared_record
from mentee.models import build as build_network
from mentee.recipe import MethodRecipe, Network, Recipe

Say = Callable[[str], None]
ENOUGH = 10
"""Epochs of the last runs that a student has time for, else a faster one is tried in its place."""


@dataclass(frozen=True)
class Preparation:
    """What a search begins with.

    Attributes:
        recipe: of all runs, resolved, with its teacher.
        setup: of a run from scratch.
        spare: whether there are unlabeled examples.
        warnings: lines on the data that somebody should read.
        students: that fit, the largest first.
        left_out: students that do not.
        tried: strategies that fit, scratch first.
        reasons: why others do not, by name.
        checks: by student and method, what a trial on two examples showed.
    """

    recipe: Recipe
    setup: TrainingSetup
    spare: bool
    warnings: list[str]
    students: list[Candidate]
    left_out: list[str]
    tried: list[Strategy]
    reasons: Mapping[str, str]
    checks: dict[tuple[str, str], PairCheck]

    def run(self, candidate: Candidate, method: str) -> Recipe:
        """The recipe of a student with a method, on all examples there are."""
        update = {"student": candidate.network, "method": MethodRecipe(name=method)}
        return self.recipe.model_copy(update=update)


def prepare(
    recipe: Recipe,
    budget: Budget,
    overrides: PythonOverrides,
    say: Say,
    *,
    given: bool | None,
    label_free: bool = False,
) -> Preparation:
    """Look at the data, and find what fits.

    Args:
        recipe: with its teacher.
        budget: of a student.
        overrides: passed from Python.
        say: called with each line of what is found.
        given: whether the recipe's student is the only one; None: where there is no budget.
        label_free: whether labels train the classifier alone.

    Raises:
        MenteeError: nothing can be chosen by, or nothing fits.
    """
    refuse(recipe)
    setup = build(recipe.model_copy(update={"method": MethodRecipe()}), overrides)
    for line in data_summary(setup.splits):
        say(line)
    warnings = look(setup.splits)
    for line in warnings:
        say(line)
    only = budget == Budget() if given is None else given
    students, left_out = fitting_students(setup, budget, overrides, only=only)
    for each in students:
        time = "" if each.milliseconds is None else f", {each.milliseconds:.2f} ms ({each.runtime})"
        say(f"student {each.name}: {each.parameters:,} parameters{time}")
    for line in left_out:
        say(f"not within the budget: {line}")
    labeled = setup.splits.whole.labeled  # a run from scratch leaves out those without a label
    spare = recipe.data.unlabeled is not None or (labeled is not None and not labeled.all())
    if spare and recipe.data.unlabeled is None:
        say("first phases, and strategies with 'unlabeled too', read those without a label")
    resolved = setup.recipe.model_copy(update={"teacher": recipe.teacher})
    ready = Preparation(resolved, setup, bool(spare), warnings, students, left_out, [], {}, {})
    tried = strategies(ready.recipe, spare=ready.spare, label_free=label_free)
    return fitting_strategies(ready, tried, overrides, say)


def refuse(recipe: Recipe) -> None:
    """Refuse a recipe without a teacher, or without scores to choose by."""
    if recipe.teacher is None:
        raise RecipeError(
            "there is no teacher: name a network with --teacher, or a record with --embeddings"
        )
    for key, value in {"label": recipe.data.label, "validation": recipe.data.validation}.items():
        if value is False or (key == "validation" and value is None):
            raise RecipeError(
                f"the search chooses by scores on validation, and data.{key} is "
                f"{'false' if value is False else 'null'}; leave it out. With --label-free labels "
                "train the classifier alone; without any, train with mentee pipeline"
            )


def fitting_students(
    setup: TrainingSetup, budget: Budget, overrides: PythonOverrides, *, only: bool
) -> tuple[list[Candidate], list[str]]:
    """The students within a budget, and a line for each that is not."""
    kind, example = setup.splits.train.kind, setup.splits.first(1).inputs
    only = only or overrides.student is not None
    module = student_modules(setup, overrides)
    return candidates(setup.recipe.student, kind, example, module, budget, given=only)


def student_modules(
    setup: TrainingSetup, overrides: PythonOverrides
) -> Callable[[Network], nn.Module]:
    """Builds a network for the data's classes, or gives the student from Python."""
    examples, student = setup.splits.train, setup.recipe.student
    known: dict[str, Any] = {"classes": student.classes or setup.splits.classes}
    if examples.kind == "image":
        known["channels"] = examples.channels
    if examples.kind == "audio":
        known["sample_rate"] = setup.recipe.data.sample_rate

    def module(network: Network) -> nn.Module:
        if overrides.student is not None:
            return setup.network
        options: dict[str, Any] = {**known, **network.options}
        return build_network(network.network, **options)

    return module


def with_latencies(
    ready: Preparation, saved: Sequence[Mapping[str, Any]], overrides: PythonOverrides
) -> Preparation:
    """The same with the milliseconds of each student; those of an earlier call are kept."""
    known = {each["name"]: each for each in saved}
    example, module = ready.setup.splits.first(1).inputs, student_modules(ready.setup, overrides)
    students = []
    for each in ready.students:
        time_of, runtime = each.milliseconds, each.runtime
        if (was := known.get(each.name, {})).get("milliseconds") is not None:
            time_of, runtime = was["milliseconds"], was["runtime"]
        elif time_of is None:
            time_of, runtime = latency(copy.deepcopy(module(each.network)), example)
        students.append(replace(each, milliseconds=time_of, runtime=runtime))
    return replace(ready, students=students)


def fitting_strategies(
    ready: Preparation, tried: Sequence[Strategy], overrides: PythonOverrides, say: Say
) -> Preparation:
    """The same with the strategies that fit the first student and the teacher, each tried.

    Raises:
        MenteeError: none fits but scratch.
    """
    student, reasons = ready.students[0], dict[str, str]()
    for strategy in tried:
        for method in filter(None, (strategy.first, strategy.method)):
            pair = (student.name, method)
            if pair not in ready.checks:
                ready.checks[pair], _ = check_pair(ready.run(student, method), overrides)
            if problem := ready.checks[pair].problem:
                reasons[strategy.name] = problem
        if strategy.name not in reasons:
            ready.tried.append(strategy)
    if len(ready.tried) < 2:
        raise MenteeError(next(iter(reasons.values())))
    for name, reason in reasons.items():
        say(f"left out: {name}: {reason.splitlines()[0]}")
    return replace(ready, reasons=reasons)


def share_teacher(
    ready: Preparation, folder: Path, overrides: PythonOverrides, say: Say, views: int | None
) -> dict[tuple[str, str], Recipe]:
    """What each student reads with each method, by both names; a network is recorded once.

    The teacher's features stand in one record, so that all runs read the same `views`.
    """
    methods = dict.fromkeys(
        method for each in ready.tried for method in (each.first, each.method) if method
    )
    seed = ready.recipe.train.seed
    jobs = [
        Job(student.name, method, seed, ready.run(student, method), folder)
        for student in ready.students
        for method in methods
    ]
    if ready.recipe.online_teacher is not None:
        checks = {
            job.pair: ready.checks.get(job.pair) or check_pair(job.recipe, overrides)[0]
            for job in jobs
        }
        jobs = [job for job in jobs if checks[job.pair].problem is None]
        jobs = with_shared_record(ready.recipe, jobs, checks, folder, views, overrides, say)
    return {job.pair: job.recipe for job in jobs}


def with_fast_students(
    ready: Preparation,
    planner: Planner,
    lengths: Lengths,
    runs: int,
    overrides: PythonOverrides,
    say: Say,
) -> Preparation:
    """The same with the students that so many last runs have time for, by some steps of each.

    Which they are is kept in `lengths.content`, so that a search that goes on has the same. A
    single one stays, so it is not measured.
    """
    if len(ready.students) == 1:
        lengths.content.setdefault("students", [ready.students[0].name])
    if "students" not in lengths.content:
        epochs, seed = dict[str, float](), ready.recipe.train.seed
        for each in ready.students:
            began, configuration = time.monotonic(), Configuration(each, FROM_SCRATCH)
            trial = planner.trial(configuration, 2, seed, "search", tested=False)
            setup = build(trial.main.recipe, overrides)
            pace = first_pace([setup], time.monotonic() - began, planner.batches())
            epochs[each.name] = lengths.last_epochs(pace, runs)
        lengths.content["students"] = names = in_time(epochs)
        for name in epochs.keys() - {*names}:
            say(f"student {name}: there is no time for {ENOUGH} epochs of it, left out")
    kept = [each for each in ready.students if each.name in lengths.content["students"]]
    return replace(ready, students=kept)


def in_time(epochs: Mapping[str, float]) -> list[str]:
    """Those for whose last runs there are enough epochs; if there is none, the fastest.

    Example:
        >>> in_time({"large": 2, "middle": 11, "small": 40}), in_time({"large": 2, "small": 4})
        (['middle', 'small'], ['small'])
    """
    enough = [name for name, count in epochs.items() if count >= ENOUGH]
    return enough or [max(epochs, key=lambda name: epochs[name])]
