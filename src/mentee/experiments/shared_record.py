"""Before the runs of a sweep start: which can be trained, and one record of their teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mentee.build.overrides import PythonOverrides
from mentee.build.setup import TrainingSetup, build
from mentee.errors import MenteeError
from mentee.evaluation.teacher_check import check_teachers
from mentee.experiments.jobs import Job
from mentee.recipe import Recipe, RecordedRecipe
from mentee.recording.networks import record_network
from mentee.records.columns import Dtype
from mentee.records.manifest import has_manifest, read_manifest


@dataclass(frozen=True)
class PairCheck:
    """What building a student with a method showed, before anything is trained.

    Attributes:
        steps: of one run.
        reads_teacher: whether the method reads a teacher at all.
        recordable: whether all that it reads can be recorded.
        problem: why it cannot be trained; None: it can.
    """

    steps: int = 0
    reads_teacher: bool = False
    recordable: bool = True
    problem: str | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether there is anything to record for it."""
        return self.reads_teacher and self.recordable and self.problem is None


def check_pairs(
    jobs: Sequence[Job],
    overrides: PythonOverrides,
    say: Callable[[str], None],
    *,
    others: bool = False,
    recorded: bool = False,
) -> dict[tuple[str, str], PairCheck]:
    """Build each student with each method once, on two examples; score the teacher.

    `others`: whether other runs are finished already. Where runs are `recorded`, a teacher that can
    be is scored when it is, and not here.

    Raises:
        MenteeError: no pair can be trained, and no other run is finished.
    """
    first_jobs = {job.pair: job for job in reversed(jobs)}
    checks: dict[tuple[str, str], PairCheck] = {}
    teaching: TrainingSetup | None = None
    for pair, job in first_jobs.items():
        checks[pair], setup = check_pair(job.recipe, overrides)
        if teaching is None and checks[pair].reads_teacher:
            teaching = setup
    problems = [check.problem for check in checks.values() if check.problem is not None]
    if problems and len(problems) == len(checks) and not others:
        raise MenteeError(problems[0])
    if teaching and not (recorded and any(check.is_recorded for check in checks.values())):
        check_teachers(teaching, say)
    return checks


def check_pair(
    recipe: Recipe, overrides: PythonOverrides
) -> tuple[PairCheck, TrainingSetup | None]:
    """Build one student with one method."""
    try:
        setup = build(recipe, overrides)
    except MenteeError as error:
        return PairCheck(problem=str(error)), None
    criterion = setup.module.criterion
    reductions = [criterion.adapters_of(term)[1].reduction for term in criterion.bound_terms]
    return PairCheck(setup.plan.steps, bool(reductions), None not in reductions), setup


def with_shared_record(
    recipe: Recipe,
    jobs: Sequence[Job],
    checks: Mapping[tuple[str, str], PairCheck],
    record: Path,
    views: int | None,
    overrides: PythonOverrides,
    say: Callable[[str], None],
) -> list[Job]:
    """The same runs with a record of their teacher, which is made once for all of them.

    What cannot be recorded reads the network itself, on the views of the record.
    """
    recorded = {pair for pair, check in checks.items() if check.is_recorded}
    if not recorded:
        return list(jobs)
    live = dict.fromkeys(job.method for job in jobs if not checks[job.pair].recordable)
    if live:
        say(f"read live, since no record can hold what they read: {', '.join(live)}")
    # All seeds get the views of one record, whichever of them is left to be trained.
    seed = recipe.train.seed if recipe.data.view_seed is None else recipe.data.view_seed
    data = recipe.data.model_copy(update={"view_seed": seed})
    count, printed = 0, set[str]()

    def say_once(line: str) -> None:
        if line not in printed:
            printed.add(line)
            say(line)

    for student in dict.fromkeys(student for student, _ in recorded):
        of_student = [job for job in jobs if job.pair in recorded and job.student == student]
        result = record_network(
            of_student[0].recipe.model_copy(update={"data": data}),
            record,
            names=list(dict.fromkeys(job.method for job in of_student)),
            views=views,
            dtype=record_dtype(record, recipe.data.train),
            say=say_once,
            inspect=False,
            **vars(overrides),
        )
        count = result.manifest.count if views is None else views
    view_keys = {"cycle": count or None, "view_seed": seed}
    teacher = RecordedRecipe(record=str(record.resolve()))
    return [with_record(job, checks[job.pair], teacher, view_keys) for job in jobs]


def record_dtype(record: Path, split: str) -> Dtype:
    """The dtype of an existing record, else that of a new one."""
    target = record / split
    return read_manifest(target).dtype if has_manifest(target) else "float16"


def with_record(
    job: Job, check: PairCheck, teacher: RecordedRecipe, view_keys: Mapping[str, Any]
) -> Job:
    """The run with the record as its teacher, or live on the record's views."""
    update: dict[str, Any] = {"data": job.recipe.data.model_copy(update=view_keys)}
    if check.recordable:
        update["teacher"] = teacher
    return replace(job, recipe=job.recipe.model_copy(update=update))
