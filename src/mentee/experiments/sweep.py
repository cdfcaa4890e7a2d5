"""Several students, methods and seeds: one record, runs trained side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee import files
from mentee.api import Interrupted, Run, next_run_folder
from mentee.build.data_summary import data_summary
from mentee.build.datasets import cache_sources, open_splits
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.console import print_line
from mentee.distillation.terms import Builder
from mentee.errors import RecipeError, RunError
from mentee.experiments.executors import Executor, make_executor, run_jobs
from mentee.experiments.jobs import Job, plan_jobs, save_plan
from mentee.experiments.pages import write_sweep
from mentee.experiments.progress import SweepObserver, SweepProgress, main_score, spread
from mentee.experiments.shared_record import check_pairs, with_shared_record
from mentee.experiments.workers import WorkerMessage
from mentee.locks import folder_lock
from mentee.losses import LossSpec
from mentee.methods import METHODS, Method
from mentee.parallel import world
from mentee.recipe import Recipe, read
from mentee.runs.changes import SWEEP_PLAN
from mentee.training.signals import SignalGuard, number_of

__all__ = ["Job", "Sweep", "SweepObserver", "sweep"]


MOST_PROCESSES = 256
"""At once."""


@dataclass(frozen=True)
class Sweep:
    """The result of a sweep.

    Attributes:
        path: the folder of their folders.
        jobs: all of them.
        runs: the finished ones, by name.
        failed: why others failed, by name.
    """

    path: Path
    jobs: tuple[Job, ...]
    runs: Mapping[str, Run]
    failed: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Sweep({str(self.path)!r}, {len(self.runs)} of {len(self.jobs)} runs finished)"

    def __str__(self) -> str:
        scores: dict[tuple[str, str], list[float]] = {job.pair: [] for job in self.jobs}
        for job in self.jobs:
            score = main_score(self.runs[job.name].summary) if job.name in self.runs else None
            if score is not None:
                scores[job.pair].append(score[1])
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
    executor: str = "local",
    out: str | Path | None = None,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    say: Callable[[str], None] = print_line,
    observer: SweepObserver | None = None,
) -> Sweep:
    """Train students × methods × seeds by one recipe, each an ordinary run folder.

    A network as teacher is recorded once for all of them. Finished runs are not repeated and
    interrupted ones are resumed, so after any stop the same call continues.

    Args:
        recipe: as for `train`; of all runs, apart from student, method and seed.
        names: of the methods; the recipe's own keeps its params and weights, `none` reads no
            teacher.
        seeds: how many, from the recipe's `train.seed` on.
        students: networks by name; none: the recipe's own.
        views: how many to record, as for `record_network`.
        record: the folder of the record; None: `OUT/record`.
        live: record nothing: a network is read in every step of every run.
        processes: how many train at once, each with its share of the cores; None: one for each
            core, and one where there is a GPU. A single one is this process. On a cluster: as many
            as there is room for.
        executor: where they train: `local`; `ray` or `ray:ADDRESS`, a Ray cluster; `slurm`. The
            last two take options: `ray:num_cpus=4,num_gpus=0.5`, `slurm:partition=gpu`. All
            machines have to share the folders.
        out: the folder of the runs' folders; None: `runs/sweep-N`, the next number that is free.
        changes: of the recipe, as for `train`.
        data: as for `train`; what is passed from Python has to be picklable for several processes.
        student: the same.
        teacher: the same.
        methods: methods of your own.
        losses: losses of your own, by name.
        representations: builders of representations of your own, by name.
        say: called with each line of text.
        observer: is called with every run that ends, and may choose which are trained next.

    Returns:
        The finished runs, and why others failed; a failure stops none of the rest.

    Raises:
        MenteeError: the arguments contradict each other, or no run can be trained.
        Interrupted: SIGINT or SIGTERM; everything is saved.
    """
    overrides = PythonOverrides(data, student, teacher, methods, losses, representations)
    content = overrides.mark(read(recipe, changes))
    network = content.online_teacher is not None
    settings = {"live": live, "views": views, "record": None if record is None else str(record)}
    if student is not None and students:
        raise RecipeError("a student was passed from Python and others are named; give either")
    if (views is not None or record is not None) and (live or not network):
        raise RecipeError(
            "nothing is recorded where every run is live or the recipe has no network as teacher; "
            "leave out the record and its views"
        )
    if world() > 1:
        raise RunError("a sweep divides the machine by itself; start it without torchrun")
    if processes is not None and not 1 <= processes <= MOST_PROCESSES:
        raise RecipeError(f"{processes:,} processes; expected 1 to {MOST_PROCESSES}")
    path = files.usable(out) if out else next_run_folder("sweep")
    jobs = plan_jobs(content, students, names, seeds, path)
    for job in jobs:
        job.recipe.method.method({**METHODS, **(methods or {})})  # the method exists
    progress = SweepProgress(jobs, say)
    with (
        closing(make_executor(executor, processes, overrides, path)) as runner,
        files.withdrawn_where_refused(path / SWEEP_PLAN),
        folder_lock(path),
    ):
        save_plan(path, jobs, settings)
        todo = [job for job in jobs if not job.finished]
        if todo:
            with cache_sources():
                for line in data_summary(open_splits(content, overrides.data)):
                    say(line)
                others, recorded = len(todo) < len(jobs), network and not live
                checks = check_pairs(todo, overrides, say, others=others, recorded=recorded)
                todo = progress.start(todo, checks)
                if todo and network and not live:
                    folder = Path(record or path / "record")
                    todo = with_shared_record(content, todo, checks, folder, views, overrides, say)
            if todo:
                train(todo, runner, progress, observer or SweepObserver())
    runs = {job.name: Run(job.path, job.read_summary()) for job in jobs if job.finished}
    if observer is None:
        write_sweep(path, jobs, progress.failed)
    return Sweep(path, tuple(jobs), runs, progress.failed)


def train(
    todo: Sequence[Job],
    executor: Executor,
    progress: SweepProgress,
    observer: SweepObserver,
    expected: int = 1,
) -> None:
    """Train the runs that are left with an executor.

    `expected`: how many runs to get ready for, where an observer is to add all of them.

    Raises:
        Interrupted: a signal asked to stop; everything is saved.
    """
    jobs = progress.jobs

    def receive(message: WorkerMessage) -> Sequence[Job]:
        progress.receive(message)
        if message.event in ("step", "lost"):
            return ()
        return observer.next_jobs(message, progress.failed)

    first = observer.first_jobs(todo)
    try:
        with SignalGuard() as stop:
            if line := executor.open(len(jobs) or expected):  # however many are left
                progress.say(line)
            run_jobs(executor, first, receive, stop)
    except KeyboardInterrupt as second:
        raise Interrupted(
            "stopped at once; the same command resumes from the newest checkpoints",
            number_of(second),
        ) from None
    if stop.number is not None:
        raise Interrupted(
            f"stopped with {sum(job.finished for job in jobs)} of {len(jobs)} runs finished, "
            f"everything is saved; the same command with --out {jobs[0].path.parent} resumes",
            stop.number,
        )
