"""Several students, methods and seeds on one machine: one record, the cores divided."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee.api import Interrupted, Run, next_run_folder
from mentee.build.datasets import cache_sources
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.distillation.terms import Builder
from mentee.errors import RecipeError, RunError
from mentee.experiments.jobs import Job, jobs_of, keep
from mentee.experiments.pool import divided, one_by_one, side_by_side
from mentee.experiments.progress import SweepObserver, SweepProgress, main_score, spread
from mentee.experiments.shared_record import fits, taught
from mentee.experiments.worker import WorkerMessage, held
from mentee.losses import LossSpec
from mentee.methods import METHODS, Method
from mentee.parallel import world
from mentee.recipe import OnlineRecipe, Recipe, read
from mentee.training.signals import SignalGuard

__all__ = ["Job", "Sweep", "SweepObserver", "sweep"]


@dataclass(frozen=True)
class Sweep:
    """What became of the runs of a sweep.

    Attributes:
        path: the folder of their folders.
        jobs: all of them.
        runs: those that are finished, by name.
        failed: why others are not, by name.
    """

    path: Path
    jobs: tuple[Job, ...]
    runs: Mapping[str, Run]
    failed: Mapping[str, str]

    def __str__(self) -> str:
        scores: dict[tuple[str, str], list[float]] = {job.pair: [] for job in self.jobs}
        for job in self.jobs:
            found = main_score(self.runs[job.name].summary) if job.name in self.runs else None
            if found is not None:
                scores[job.pair].append(found[1])
        width = max(len(" ".join(pair)) for pair in scores)
        lines = [f"{' '.join(pair):<{width}}  {spread(each)}" for pair, each in scores.items()]
        lines += [f"failed: {name}: {text}" for name, text in self.failed.items()]
        return "\n".join([*lines, str(self.path)])


def sweep(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    names: Sequence[str],
    *,
    seeds: int = 3,
    students: Sequence[str] = (),
    views: int | None = None,
    record: str | Path | None = None,
    live: bool = False,
    processes: int | None = None,
    out: str | Path | None = None,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    say: Callable[[str], None] = print,
    watch: SweepObserver | None = None,
) -> Sweep:
    """Train students × methods × seeds by one recipe, each an ordinary run folder.

    A network that teaches is recorded once for all of them. Finished runs are not repeated and
    interrupted ones are gone on with, so after any stop the same call goes on.

    Args:
        recipe: as for `train`; it says all but student, method and seed.
        names: of the methods; the recipe's own keeps its numbers and weights, `none` reads no
            teacher.
        seeds: how many, from the recipe's `train.seed` on.
        students: networks by name; none: the recipe's own.
        views: how many to record, as for `record_network`.
        record: the folder of the record; None: `OUT/record`.
        live: record nothing: a network is read in every step of every run.
        processes: how many train at once, each with its share of the cores; None: one for each
            core, and one where there is a GPU. A single one is this process.
        out: the folder of the runs' folders; None: `runs/sweep-N`, the next number that is free.
        changes: of the recipe, as for `train`.
        data: as for `train`; what is passed from Python has to be picklable for several processes.
        student: the same.
        teacher: the same.
        methods: rows of your own.
        losses: losses of your own, by name.
        representations: builders of representations of your own, by name.
        say: what to do with a line of text.
        watch: is told of every run that ends, and may choose which come next.

    Returns:
        The runs that are finished, and why others failed: that stops none of the rest.

    Raises:
        MenteeError: what was asked for does not go together, or nothing of it can be trained.
        Interrupted: SIGINT or SIGTERM; everything is saved.
    """
    given = PythonOverrides(data, student, teacher, methods, losses, representations)
    content = given.mark(read(recipe, changes))
    network = isinstance(content.teacher, OnlineRecipe)
    asked_for = {"live": live, "views": views, "record": None if record is None else str(record)}
    if student is not None and students:
        raise RecipeError("a student was passed from Python and others are named; give either")
    if (views is not None or record is not None) and (live or not network):
        raise RecipeError(
            "nothing is recorded where every run is live or the recipe has no network as teacher; "
            "leave out the record and its views"
        )
    if world() > 1:
        raise RunError("a sweep divides the machine by itself; start it without torchrun")
    path = Path(out) if out else next_run_folder("sweep")
    jobs = jobs_of(content, students, names, seeds, path)
    for job in jobs:
        job.recipe.method.method({**METHODS, **(methods or {})})  # there is such a row
    course = SweepProgress(jobs, say)
    with held(path, wait=False):
        keep(path, jobs, asked_for)
        todo = [job for job in jobs if not job.finished]
        if todo:
            with cache_sources():
                found = fits(todo, given, others=len(todo) < len(jobs))
                todo = course.plan(todo, found)
                if todo and network and not live:
                    kept = Path(record or path / "record")
                    todo = taught(content, todo, found, kept, views, given, say)
            if todo:
                train(todo, given, processes, course, watch or SweepObserver())
    runs = {
        job.name: Run(job.path, json.loads(job.folder.summary.read_text(encoding="utf-8")))
        for job in jobs
        if job.finished
    }
    return Sweep(path, tuple(jobs), runs, course.failed)


def train(
    todo: Sequence[Job],
    given: PythonOverrides,
    processes: int | None,
    course: SweepProgress,
    watch: SweepObserver,
) -> None:
    """Train what is left, in as many processes as there are to be.

    Raises:
        Interrupted: a signal asked to stop; everything is saved.
    """
    count, threads = divided(len(course.jobs), processes)  # however many are left
    waiting = list(watch.begin(todo))

    def hear(told: WorkerMessage) -> None:
        course.hear(told)
        if told.what != "step":
            waiting.extend(watch.ended(told, course.failed))

    try:
        with SignalGuard() as asked:
            if count == 1:
                one_by_one(waiting, given, hear, asked)
            else:
                many = "s" if threads > 1 else ""
                course.say(f"{count} processes of {threads} thread{many} each")
                side_by_side(waiting, given, count, threads, hear, asked)
    except KeyboardInterrupt:  # the second Ctrl-C
        raise Interrupted(
            "stopped at once; the same command goes on from the newest checkpoints", signal.SIGINT
        ) from None
    if asked.number is not None:
        done, out = sum(job.finished for job in course.jobs), course.jobs[0].path.parent
        raise Interrupted(
            f"stopped with {done} of {len(course.jobs)} runs finished, everything is saved; the "
            f"same command with --out {out} goes on",
            asked.number,
        )
