"""Methods × seeds at equal budget: which method helps on your data, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee import files
from mentee.api import next_run_folder
from mentee.build.datasets import cache_sources
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.console import print_line
from mentee.distillation.terms import Builder
from mentee.experiments.comparison_report import plain
from mentee.experiments.jobs import plan_jobs
from mentee.experiments.pages import write_comparison
from mentee.experiments.results import results
from mentee.experiments.rows import SCRATCH, read_rows
from mentee.experiments.search import SuccessiveHalving
from mentee.experiments.sweep import Job, SweepObserver, sweep
from mentee.experiments.teacher_agreement import TeacherAgreement
from mentee.experiments.workers import WorkerMessage
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.recipe import Recipe, read

__all__ = ["Comparison", "compare"]
NAME = "compare"


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        path: the folder of the runs and of `compare.json`.
        content: of `compare.json`.
        failed: why runs failed, by name.
    """

    path: Path
    content: Mapping[str, Any]
    failed: Mapping[str, str]

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Student × method, the best on validation first."""
        rows: Sequence[Mapping[str, Any]] = self.content["rows"]
        return rows

    def to_json(self) -> str:
        """The text of `compare.json`."""
        return json.dumps(self.content, indent=2) + "\n"

    def __repr__(self) -> str:
        runs = self.content["runs"]
        finished = f"{runs['finished']} of {runs['of']} runs finished"
        return f"Comparison({str(self.path)!r}, {finished})"

    def __str__(self) -> str:
        return f"{plain(self.content)}\n{self.path / NAME}.md"


class ComparisonObserver(SweepObserver):
    """Writes the table again whenever a run has ended; `halving` stops poor methods."""

    def __init__(
        self,
        jobs: Sequence[Job],
        out: Path,
        agreement: TeacherAgreement,
        halving: SuccessiveHalving | None,
    ) -> None:
        self.jobs, self.out, self.agreement, self.halving = jobs, out, agreement, halving

    def first_jobs(self, todo: Sequence[Job]) -> Sequence[Job]:
        """Compute the teacher's predictions once, before any run is trained."""
        self.agreement.predict_teacher()
        return todo if self.halving is None else self.halving.first_jobs(todo)

    def next_jobs(self, message: WorkerMessage, failed: Mapping[str, str]) -> Sequence[Job]:
        """Write the results so far."""
        jobs = () if self.halving is None else self.halving.next_jobs(message)
        if message.event != "paused" or not jobs:
            self.write(failed)
        return jobs

    def write(self, failed: Mapping[str, str], *, last: bool = False) -> dict[str, Any]:
        """Write `compare.json`, `.md`, `.svg` and `.html`, each atomically; return the first."""
        budget = None if self.halving is None else self.halving.summary()
        rows = read_rows(self.jobs, failed, budget["stopped"] if budget else {})
        agreements = self.agreement.by_pair(self.jobs, predict_missing=last)
        notes = [self.agreement.note] if self.agreement.note else []
        seeds = list(dict.fromkeys(job.seed for job in self.jobs))
        content = results(rows, seeds, agreements, notes, budget)
        if last:
            for temporary in self.out.glob(f".{NAME}.*"):  # left by a kill while one was written
                temporary.unlink(missing_ok=True)
        files.write_json(self.out / f"{NAME}.json", content)
        write_comparison(self.out, NAME, content, self.jobs)
        return content


def compare(
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
    budget: float | None = None,
) -> Comparison:
    """Train students × methods × seeds as `sweep` does, and judge which method helps.

    Of one seed all methods have the same data order and first weights; all have the same steps.
    From scratch (`none`) is always among them. Finished runs of a sweep or comparison by the same
    recipe in the same folder are read and not repeated.

    Args:
        recipe: as for `sweep`, as are the others that are not explained here.
        names: of the methods.
        seeds: how many, from the recipe's `train.seed` on; two at least for a verdict.
        students: each is compared with its own scratch.
        views: of the record.
        record: the record's folder.
        live: record nothing.
        processes: how many train at once.
        executor: where they train.
        out: the folder of the runs' folders; None: `runs/compare-N`, the next number that is free.
        changes: of the recipe.
        data: instead of the recipe's source.
        student: instead of the recipe's.
        teacher: the same.
        methods: of your own.
        losses: of your own.
        representations: of your own.
        say: called with each line of text.
        budget: stop poor methods of the first seed by successive halving, first after this share of
            the epochs; in (0, 1). None: train all. Needs optuna.

    Returns:
        The rows with their differences, intervals and verdicts.

    Raises:
        MenteeError: the arguments contradict each other, or no run can be trained.
        Interrupted: SIGINT or SIGTERM; everything is saved.
    """
    names = [SCRATCH, *(name for name in names if name != SCRATCH)]
    path = files.usable(out) if out else next_run_folder(NAME)
    overrides = PythonOverrides(data, student, teacher, methods, losses, representations)
    content = overrides.mark(read(recipe, changes))
    jobs = plan_jobs(content, students, names, seeds, path)
    halving = None if budget is None else SuccessiveHalving(content, jobs, budget, path)
    agreement = TeacherAgreement(content, overrides, path, say)
    observer = ComparisonObserver(jobs, path, agreement, halving)
    result = sweep(
        recipe,
        names,
        seeds=seeds,
        students=students,
        views=views,
        record=record,
        live=live,
        processes=processes,
        executor=executor,
        out=path,
        changes=changes,
        say=say,
        observer=observer,
        **vars(overrides),
    )
    with cache_sources():
        agreement.predict_teacher()
        return Comparison(path, observer.write(result.failed, last=True), result.failed)
