"""`mentee distill`: the best student under a budget, what it is worth, and a file of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee import files
from mentee.api import Interrupted, next_run_folder
from mentee.build.datasets import cache_sources
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.console import print_line
from mentee.errors import RecipeError, RunError
from mentee.experiments.distill.candidates import Budget
from mentee.experiments.distill.plan import Clock, Request
from mentee.experiments.distill.preparation import prepare, refuse
from mentee.experiments.distill.stages import Stages
from mentee.experiments.executors import make_executor
from mentee.locks import folder_lock
from mentee.parallel import world
from mentee.recipe import Recipe, read
from mentee.runs.changes import DISTILL_PLAN, refuse_other_kind


@dataclass(frozen=True)
class Distilled:
    """The result of `distill`.

    Attributes:
        path: its folder.
        content: of `distill.json`.
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def student(self) -> Path:
        """The folder of the run that is exported."""
        return self.path.joinpath(*self.content["winner"]["run"].split("/"))

    def __repr__(self) -> str:
        return f"Distilled({str(self.path)!r}, {self.content['winner']['label']!r})"

    def __str__(self) -> str:
        return f"{self.content['winner']['verdict']}\n{self.path / 'distill.md'}"


def distill(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    max_params: int | None = None,
    max_bytes: int | None = None,
    max_latency: float | None = None,
    minutes: float = 60.0,
    epochs: int | None = None,
    seeds: int = 3,
    given: bool | None = None,
    label_free: bool = False,
    processes: int | None = None,
    executor: str = "local",
    out: str | Path | None = None,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    dry_run: bool = False,
    say: Callable[[str], None] = print_line,
) -> Distilled | None:
    """Find the best student within a budget: look, search, compare, export.

    Students that fit, strategies that fit the teacher, and learning rates are trained in short
    runs, the better third in longer ones, and so on (successive halving), judged on validation. The
    best one is trained with several seeds, beside scratch and `kd`, whose learning rates are
    searched alike. The winner is trained once more for the time that is left, and exported. Each
    of these runs reads the test part once.

    Args:
        recipe: as for `train`, with a teacher; its method and epochs are not used.
        max_params: the most parameters of a student.
        max_bytes: the most bytes of its weights, four for each number.
        max_latency: the most milliseconds for one example on one thread.
        minutes: for everything.
        epochs: in place of minutes: the length of the last runs. Then the same data, recipe and
            number of threads give the same result, whatever stops it meanwhile.
        seeds: of the last runs; with `minutes` more where the runs are as long as they may be.
        given: whether the recipe's student is the only one, or others are proposed; None: it is
            where there is no budget.
        label_free: the student learns from the teacher alone; labels train its classifier after
            that, choose and score. `none` is then the classifier of an untrained student.
        processes: how many runs train at once; None: one for each core, and one on a GPU.
        executor: where they train, as for `sweep`.
        out: the folder; None: `runs/distill-N`. The same call with it resumes.
        changes: of the recipe.
        data: as for `train`.
        student: as for `train`; it is the only candidate then.
        teacher: as for `train`.
        dry_run: print the plan; nothing is trained or written.
        say: called with each line of text.

    Returns:
        The result; None: it was a dry run.

    Raises:
        MenteeError: nothing fits, or the folder was begun otherwise.
        Interrupted: SIGINT or SIGTERM; everything is saved.
    """
    overrides = PythonOverrides(data, student, teacher)
    content = overrides.mark(read(recipe, changes))
    refuse(content)
    for name, value in {"seeds": seeds, "minutes": minutes, "epochs": epochs}.items():
        if value is not None and value <= 0:
            raise RecipeError(f"{name} is {value}; expected a number above 0")
    if world() > 1:
        raise RunError("a search divides the machine by itself; start it without torchrun")
    budget = Budget(max_params, max_bytes, max_latency)
    request = Request(budget, None if epochs else minutes, epochs, seeds, given, label_free)
    shape: dict[str, Any] = {"given": given, "label_free": label_free}
    with cache_sources():
        if dry_run:
            ready = prepare(content, budget, overrides, say, **shape)
            clock = Clock({})
            runner = make_executor("local", processes, overrides, Path())
            Stages(content, ready, request, overrides, runner, Path(), say, {}, clock).print_plan()
            return None
        path = files.usable(out) if out else next_run_folder("distill")
        with (
            closing(make_executor(executor, processes, overrides, path)) as runner,
            files.withdrawn_where_refused(path / DISTILL_PLAN),
            folder_lock(path),
        ):
            refuse_other_kind(path, "distillation")
            saved = request.read_saved(path / DISTILL_PLAN, content)
            clock = Clock(saved)
            with clock.part("look"):
                ready = prepare(content, budget, overrides, say, **shape)
            stages = Stages(content, ready, request, overrides, runner, path, say, saved, clock)
            try:
                return Distilled(path, stages.run())
            except Interrupted as stop:
                raise Interrupted(
                    f"stopped, everything is saved; the same command with --out {path} resumes",
                    stop.asked_by_signal,
                ) from None
