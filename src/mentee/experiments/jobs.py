"""The runs of a sweep: students × methods × seeds, each an ordinary run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee import files
from mentee.errors import RecipeError, RunError
from mentee.recipe import ATeacher, MethodRecipe, MultiRecipe, Network, Recipe, read
from mentee.runs.folder import Folder

LEDGER = "sweep.json"
FAILURE = "failure.txt"


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        student: its network, as the folder's name has it.
        method: its method.
        seed: its `train.seed`.
        recipe: what is trained.
        path: its folder.
        until: pause after so many epochs; None: train to the end.
    """

    student: str
    method: str
    seed: int
    recipe: Recipe
    path: Path
    until: int | None = None

    @property
    def name(self) -> str:
        """What it is called: the name of its folder."""
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
        """Whether nothing is left to do."""
        return self.folder.summary.is_file()

    @property
    def begun(self) -> bool:
        """Whether there is a run to go on with."""
        return self.folder.recipe.is_file()


def jobs_of(
    recipe: Recipe, students: Sequence[str], methods: Sequence[str], seeds: int, out: Path
) -> list[Job]:
    """All runs, a whole seed before the next, so that what comes early can be compared.

    Args:
        recipe: of all of them; its own method keeps its numbers and weights.
        students: networks; none: the recipe's own. Another one has the recipe's `input`.
        methods: names of rows, or sums of rows.
        seeds: how many, from the recipe's `train.seed` on.
        out: the folder of their folders.

    Raises:
        RecipeError: there is none, or two would be the same.
    """
    if not methods or seeds < 1:
        raise RecipeError(
            f"a sweep of {len(methods)} methods and {seeds} seeds has no runs; name methods "
            "(--methods kd,crd) and at least one seed"
        )
    networks = [student_of(recipe, name) for name in students] or [recipe.student]
    jobs = [
        job_of(recipe, student, method_of(recipe, method), recipe.train.seed + i, out)
        for i in range(seeds)
        for student in networks
        for method in methods
    ]
    names = [job.name for job in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecipeError(f"two runs would have the folder {twice[0]}; name each once")
    return jobs


def job_of(recipe: Recipe, student: Network, method: MethodRecipe, seed: int, out: Path) -> Job:
    """One run, and where it goes."""
    said = recipe.model_copy(
        update={
            "student": student,
            "method": method,
            "teacher": heard(recipe, method),
            "train": recipe.train.model_copy(update={"seed": seed}),
        }
    )
    short = student.network.replace(":", "-").replace("/", "-")
    path = out / f"{short}-{method.name}-seed{seed}"
    return Job(short, method.name, seed, said, path)


def heard(recipe: Recipe, method: MethodRecipe) -> ATeacher | None:
    """The recipe's teacher; from scratch none of several teaches by a method of its own either."""
    said = recipe.teacher
    if method.name == "none" and isinstance(said, MultiRecipe):
        return said.model_copy(update={"methods": {}})
    return said


def student_of(recipe: Recipe, name: str) -> Network:
    """The recipe's student, or another network that reads the same input."""
    own = recipe.student
    return own if name == own.network else Network(network=name, input=own.input)


def method_of(recipe: Recipe, name: str) -> MethodRecipe:
    """The recipe's method, or another row as the table has it."""
    return recipe.method if name == recipe.method.name else MethodRecipe(name=name)


def keep(out: Path, jobs: Sequence[Job], settings: Mapping[str, Any]) -> None:
    """Write down what was asked for, and refuse to go on with something else.

    Args:
        out: the folder of the sweep.
        jobs: with the recipes as they were asked for.
        settings: what else was said of all of them.

    Raises:
        RunError: a run of these names was begun otherwise, or by no sweep.
    """
    path = out / LEDGER
    asked = {job.name: {"recipe": job.recipe.model_dump(mode="json"), **settings} for job in jobs}
    was: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for job in jobs:
        if not job.begun:
            continue
        if job.name not in was:
            raise RunError(f"{job.path} is there and not of this sweep; give another --out")
        other = differences(as_of_now(was[job.name]), asked[job.name])
        if other:
            raise RunError(
                f"{job.path} was begun otherwise ({'; '.join(other)}); give the same command to "
                "go on, or another --out"
            )
    files.write_json(path, was | asked)


def as_of_now(was: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, with what an earlier version's recipes did not say yet."""
    try:
        return {**was, "recipe": read(was["recipe"]).model_dump(mode="json")}
    except RecipeError:  # of a later version, say: compared as it stands
        return dict(was)


def differences(was: Any, now: Any, key: str = "") -> list[str]:
    """What differs between two nested mappings, a text for each key.

    Example:
        >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
        ['a.b: 1 there, 3 here']
    """
    if isinstance(was, dict) and isinstance(now, dict):
        return [
            each
            for name in dict.fromkeys([*was, *now])
            for each in differences(was.get(name), now.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if was == now else [f"{key.removeprefix('recipe.')}: {was} there, {now} here"]
