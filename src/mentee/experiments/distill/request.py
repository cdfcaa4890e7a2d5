"""From the words of the command line to a recipe and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee.build.datasets import open_splits
from mentee.errors import RecipeError
from mentee.experiments.distill.candidates import family
from mentee.recipe import find_recipe, read

UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(b|ms)?", re.IGNORECASE)


def quantity(text: str | None, option: str, unit: str = "") -> float | None:
    """A number with its unit, as it is typed.

    Raises:
        RecipeError: it is none.

    Example:
        >>> quantity("300k", "--max-params"), quantity("0.2MB", "--max-bytes", "b")
        (300000.0, 200000.0)
        >>> quantity("5ms", "--max-latency", "ms")
        5.0
    """
    if text is None:
        return None
    match = NUMBER.fullmatch(text.strip())
    if not match or (match[3] or unit).lower() != unit or (unit == "ms" and match[2]):
        example = {"": "300k", "b": "200k", "ms": "5ms"}[unit]
        raise RecipeError(f"{option} {text}: expected a number such as {example}")
    number = float(match[1]) * UNITS[match[2].lower()]
    if number <= 0:
        raise RecipeError(f"{option} {text}: expected a number above 0")
    return number


def recipe_of(
    source: str,
    *,
    teacher: str | None = None,
    weights: str | None = None,
    embeddings: Sequence[str] = (),
    student: str | None = None,
    changes: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of a recipe for some data, or of a recipe with another teacher or student.

    Args:
        source: of the data; or a recipe, a YAML file or a shipped one by name.
        teacher: a network by name.
        weights: of the teacher.
        embeddings: folders of records.
        student: a network by name; None: the recipe's, else a small one of the data's kind.
        changes: of the recipe.

    Raises:
        MenteeError: options contradict each other, or the data cannot be read.
    """
    if teacher and embeddings:
        raise RecipeError("--teacher and --embeddings are given; give one of them")
    if weights and not teacher:
        raise RecipeError("--weights are those of a network; name it with --teacher")
    given: dict[str, Any] = {}
    if teacher:
        given = {"teacher": {"network": teacher, **({"weights": weights} if weights else {})}}
    if embeddings:
        paths = list(embeddings)
        named_paths = {Path(each).name: each for each in paths}
        if len(named_paths) < len(paths):
            raise RecipeError(
                f"--embeddings {' '.join(paths)}: two have the same folder name, by which their "
                "teachers are told apart; rename one"
            )
        record: Any = paths[0] if len(paths) == 1 else named_paths
        given = {"teacher": {"record": record, "clean": True}}
    named = {"student": student} if student else {}
    if is_recipe(source):
        content: dict[str, Any] = read(source).model_dump(exclude_unset=True)
        return read({**content, **named, **given}, changes).model_dump()
    content = {"data": {"source": source}, "student": student or "resnet8-cifar", **given}
    recipe = read(content, changes)
    if student is None:
        splits = open_splits(recipe.model_copy(update={"teacher": None}))
        student = [*family(splits.train.kind, splits.first(1).inputs)][-1]
        recipe = read({**recipe.model_dump(), "student": student})
    return recipe.model_dump()


def is_recipe(source: str) -> bool:
    """Whether a recipe is meant, and not data."""
    if Path(source).suffix in (".yaml", ".yml"):
        return True
    try:
        find_recipe(source)
    except RecipeError:
        return False
    return not Path(source).exists()


def budget_of(options: Mapping[str, str | None]) -> dict[str, Any]:
    """The budget that options name."""
    units = {"max_params": "", "max_bytes": "b", "max_latency": "ms"}
    numbers = {
        name: quantity(options.get(name), f"--{name.replace('_', '-')}", unit)
        for name, unit in units.items()
    }
    whole = {n: None if v is None else int(v) for n, v in numbers.items() if n != "max_latency"}
    return {**whole, "max_latency": numbers["max_latency"]}
