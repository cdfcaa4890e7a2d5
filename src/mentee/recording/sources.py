"""How a teacher, the data and their options are named on the command line, and opened."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee.data import MODALITIES, Examples, open_examples
from mentee.data.examples import with_seconds
from mentee.errors import DataError, RecipeError, shortened
from mentee.recipe import parse_yaml, read
from mentee.teachers.pretrained import Embedder
from mentee.teachers.pretrained.options import checked_options


def as_requested(
    data: Any,
    teacher: Any,
    options: Mapping[str, Any] | None,
    reading: Mapping[str, Any] | None,
    seconds: float | None,
) -> dict[str, Any] | None:
    """How the teacher and the data were named; None where they were not, but passed."""
    if not isinstance(teacher, str) or not isinstance(data, (str, Path)):
        return None
    named: dict[str, Any] = {"teacher": teacher, "options": dict(options or {})}
    named |= {"data": str(data), "reading": dict(reading or {}), "seconds": seconds}
    try:
        return dict(json.loads(json.dumps(named)))
    except TypeError:
        return None


def open_as(
    embedder: Embedder,
    data: Any,
    split: str,
    reading: Mapping[str, Any] | None,
    seconds: float | None,
) -> Examples:
    """A split as a teacher reads it; the arguments are those of `record`.

    Raises:
        DataError: it holds another kind of examples, or cannot be read.
    """
    source, options = source_of(data, reading or {}, own=("kind",))
    options["label"] = False  # a record needs none
    if embedder.sample_rate is not None:
        options["sample_rate"] = embedder.sample_rate
    try:
        examples = open_examples(source, split=split, kind=embedder.kind, **options)
    except DataError as error:
        try:
            other = open_examples(source, split=split, **options)
        except DataError:
            raise error from None
        if other.kind == embedder.kind:
            raise
        raise DataError(
            f"{embedder.name} reads {embedder.kind}, {other.name} holds {other.kind}; choose a "
            f"teacher of {other.kind}"
        ) from error
    return examples if seconds is None else with_seconds(examples, seconds)


def source_of(
    data: Any, reading: Mapping[str, Any], own: Sequence[str] = ()
) -> tuple[Any, dict[str, Any]]:
    """Where the examples are, and how they are read: of a recipe `.yaml`, or as they are named.

    Raises:
        MenteeError: `open_examples` has no such argument, is `own`, or it is of another type.
    """
    internal = ("split", *own)
    reading = checked_options("--column", open_examples, reading, internal=internal, what="key")
    if not isinstance(data, (str, Path)) or Path(data).suffix not in (".yaml", ".yml"):
        return data, reading
    recipe = read(data).data
    images = ("channels", "bits", "background")
    keys = (*MODALITIES, "label", "id", "classes", *images, "unreadable", "outside")
    return recipe.source, {key: getattr(recipe, key) for key in keys} | reading


def parsed(pairs: Sequence[str], what: str) -> dict[str, Any]:
    """`["size=128", "weights=a.safetensors"]` to a mapping; numbers and true/false are read."""
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise RecipeError(f"{what} {shortened(pair)}: expected key=value")
        try:
            values[key] = parse_yaml(value)
        except RecipeError as error:
            raise RecipeError(f"{what} {shortened(pair)}: it is not a value: {error}") from error
    return values
