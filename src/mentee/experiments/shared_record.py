"""Before the runs of a sweep: does each fit, and what has to be recorded of the teacher?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.errors import MenteeError
from mentee.experiments.jobs import Job
from mentee.recipe import Recipe, RecordedRecipe
from mentee.recording.networks import record_network
from mentee.records.columns import Dtype
from mentee.records.manifest import has_manifest, read_manifest


@dataclass(frozen=True)
class Fit:
    """What was found out about a student with a method.

    Attributes:
        steps: of one run.
        reads: whether the method reads a teacher at all.
        keeps: whether all that it reads can be recorded.
        problem: why it cannot be trained; None: it can.
    """

    steps: int = 0
    reads: bool = False
    keeps: bool = True
    problem: str | None = None


def fits(
    jobs: Sequence[Job], given: PythonOverrides, *, others: bool = False
) -> dict[tuple[str, str], Fit]:
    """Each student tried with each method on two examples.

    Args:
        jobs: the runs that are left.
        given: what was passed from Python.
        others: whether some are finished already, so that it is not all in vain.

    Raises:
        MenteeError: none of them fits, and there are no others.
    """
    firsts = {job.pair: job for job in reversed(jobs)}
    found = {pair: fit(job.recipe, given) for pair, job in firsts.items()}
    problems = [each.problem for each in found.values() if each.problem is not None]
    if problems and len(problems) == len(found) and not others:
        raise MenteeError(problems[0])
    return found


def fit(recipe: Recipe, given: PythonOverrides) -> Fit:
    """One student tried with one method."""
    try:
        parts = build(recipe, given)
    except MenteeError as error:
        return Fit(problem=str(error))
    criterion = parts.module.criterion
    reductions = [criterion.adapters_of(bound)[1].reduction for bound in criterion.bound_terms]
    return Fit(parts.plan.steps, bool(reductions), None not in reductions)


def taught(
    recipe: Recipe,
    jobs: Sequence[Job],
    found: Mapping[tuple[str, str], Fit],
    record: Path,
    views: int | None,
    given: PythonOverrides,
    say: Callable[[str], None],
) -> list[Job]:
    """The same runs with a record of their teacher, which is made once for all of them.

    What cannot be recorded is read live, on the views of the record.

    Args:
        recipe: of the sweep.
        jobs: its runs, with a network as teacher.
        found: what is known of each pair.
        record: the record's folder; what is missing there is added.
        views: as for `record_network`.
        given: what was passed from Python.
        say: what to do with a line of text.
    """
    kept = {pair for pair, each in found.items() if each.reads and each.keeps and not each.problem}
    if not kept:
        return list(jobs)
    live = dict.fromkeys(job.method for job in jobs if not found[job.pair].keeps)
    if live:
        say(f"read live, since no record can hold what they read: {', '.join(live)}")
    # All seeds see the views of one record, whichever of them is left to be trained.
    seed = recipe.train.seed if recipe.data.view_seed is None else recipe.data.view_seed
    data = recipe.data.model_copy(update={"view_seed": seed})
    count = 0
    for student in dict.fromkeys(student for student, _ in kept):
        some = [job for job in jobs if job.pair in kept and job.student == student]
        made = record_network(
            some[0].recipe.model_copy(update={"data": data}),
            record,
            names=list(dict.fromkeys(job.method for job in some)),
            views=views,
            dtype=dtype_there(record, recipe.data.train),
            data=given.data,
            student=given.student,
            teacher=given.teacher,
            methods=given.methods,
            losses=given.losses,
            representations=given.representations,
            say=say,
        )
        count = made.manifest.count if views is None else views
    update = {"cycle": count or None, "view_seed": seed}
    teacher = RecordedRecipe(record=str(record.resolve()))
    return [with_record(job, found[job.pair], teacher, update) for job in jobs]


def dtype_there(record: Path, split: str) -> Dtype:
    """The numbers of a record that is there, else those of a new one."""
    target = record / split
    return read_manifest(target).dtype if has_manifest(target) else "float16"


def with_record(job: Job, fit: Fit, teacher: RecordedRecipe, update: Mapping[str, Any]) -> Job:
    """A run that reads the record, or is live on its views."""
    changes: dict[str, Any] = {"data": job.recipe.data.model_copy(update=update)}
    if fit.keeps:
        changes["teacher"] = teacher
    return replace(job, recipe=job.recipe.model_copy(update=changes))
