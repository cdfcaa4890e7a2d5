"""The plan of a sweep: its runs, students × methods × seeds, each an ordinary run folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentee import files
from mentee.errors import RecipeError, RunError, shown
from mentee.recipe import ATeacher, MethodRecipe, Network, Recipe, read
from mentee.runs.changes import SWEEP_PLAN, differences, listing, refuse_other_kind, with_defaults
from mentee.runs.folder import Folder

FAILURE = "failure.txt"
MOST_RUNS = 20_000


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        student: its network, as in the folder's name.
        method: name of its method.
        seed: its `train.seed`.
        recipe: the recipe to train.
        path: its folder.
        until: pause after this many epochs; None: train to the end.
    """

    student: str
    method: str
    seed: int
    recipe: Recipe
    path: Path
    until: int | None = None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def pair(self) -> tuple[str, str]:
        """Student and method: what all its seeds share."""
        return self.student, self.method

    @property
    def folder(self) -> Folder:
        """Its files."""
        return Folder(self.path)

    @property
    def finished(self) -> bool:
        """Whether it is trained to the end."""
        return self.folder.summary.is_file()

    @property
    def started(self) -> bool:
        """Whether there is a run to resume."""
        return self.folder.recipe.is_file()

    def read_summary(self) -> dict[str, Any]:
        """The content of `summary.json` of a finished run."""
        return self.folder.read_summary()


def plan_jobs(
    recipe: Recipe, students: Sequence[str], methods: Sequence[str], seeds: int, out: Path
) -> list[Job]:
    """All runs; one seed is complete before the next, so that early results can be compared.

    The recipe's own method keeps its params and weights. Students other than the recipe's get its
    `input`, `size` and `classes`.

    Raises:
        RecipeError: there is no run, or two runs would be the same.
    """
    if not methods or seeds < 1:
        raise RecipeError(
            f"a sweep of {len(methods)} methods and {seeds} seeds has no runs; name methods "
            "(--methods kd,crd) and at least one seed"
        )
    count = max(len(students), 1) * len(methods) * seeds
    if count > MOST_RUNS:
        raise RecipeError(f"a sweep of {count:,} runs; expected at most {MOST_RUNS:,}")
    own = recipe.student
    networks = [
        own
        if name == own.network
        else Network(network=name, input=own.input, size=own.size, classes=own.classes)
        for name in students
    ] or [own]
    jobs = [
        make_job(recipe, student, method, recipe.train.seed + i, out)
        for i in range(seeds)
        for student in networks
        for method in methods
    ]
    names = [job.name for job in jobs]
    duplicates = [name for name, times in Counter(names).items() if times > 1]
    if duplicates:
        raise RecipeError(f"two runs would have the folder {min(duplicates)}; name each once")
    return jobs


def saved_jobs(out: Path) -> list[Job]:
    """The runs of a sweep or comparison that was begun, as `sweep.json` has them.

    Raises:
        RunError: the file is damaged.
    """
    path, advice = out / SWEEP_PLAN, "give the sweep's own command, which writes its page too"
    jobs = []
    for name, plan in files.read_json(path, advice).items():
        try:
            recipe = read(plan["recipe"])
        except (RecipeError, TypeError, KeyError) as error:
            raise RunError(f"{path} has no recipe of {name} that can be read; {advice}") from error
        tail = f"-{recipe.method.name}-seed{recipe.train.seed}"
        student = name.removesuffix(tail)
        jobs.append(Job(student, recipe.method.name, recipe.train.seed, recipe, out / name))
    return jobs


def named_method(name: str) -> MethodRecipe:
    """A method by its name.

    Raises:
        RecipeError: no method can have that name.
    """
    try:
        return MethodRecipe(name=name)
    except ValidationError as error:
        raise RecipeError(f"method {shown(name)}: {error.errors()[0]['msg']}") from None


def make_job(recipe: Recipe, student: Network, name: str, seed: int, out: Path) -> Job:
    """The run of one student with one method; the recipe's own method keeps its params."""
    method = recipe.method if name == recipe.method.name else named_method(name)
    update = {
        "student": student,
        "method": method,
        "teacher": teacher_for(recipe, method),
        "train": recipe.train.model_copy(update={"seed": seed}),
    }
    short = student.network.replace(":", "-").replace("/", "-")
    path = out / f"{short}-{method.name}-seed{seed}"
    return Job(short, method.name, seed, recipe.model_copy(update=update), path)


def teacher_for(recipe: Recipe, method: MethodRecipe) -> ATeacher | None:
    """The recipe's teacher; `none` also drops the methods that single teachers have."""
    if recipe.teacher is None or method.name != "none":
        return recipe.teacher
    return recipe.teacher.without_methods()


def save_plan(out: Path, jobs: Sequence[Job], settings: Mapping[str, Any]) -> None:
    """Write `sweep.json`, and refuse to resume runs of another recipe or other settings.

    Raises:
        RunError: a run of one of these names was started otherwise, or by no sweep.
    """
    refuse_other_kind(out, "sweep or comparison")
    path = out / SWEEP_PLAN
    plan = {job.name: {"recipe": job.recipe.model_dump(mode="json"), **settings} for job in jobs}
    saved: dict[str, Any] = {}
    if path.is_file():
        advice = "it names what the runs there were started with; restore it, or give another --out"
        saved = files.read_json(path, advice)
        if not saved:
            raise RunError(f"{path} holds no run; {advice}")
    for job in jobs:
        if not job.started:
            continue
        if not isinstance(was := saved.get(job.name), dict):
            raise RunError(f"{job.path} exists and is not of this sweep; give another --out")
        was = {**was, "recipe": with_defaults(was.get("recipe") or {})}
        changes = differences(was, plan[job.name])
        if changes:
            raise RunError(
                f"{job.path} was started otherwise ({listing(changes)}); give the same command "
                "to resume, or another --out"
            )
        job.folder.refuse_changes()
    files.write_json(path, saved | plan)
