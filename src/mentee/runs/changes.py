"""What may go on in a folder: nothing of another kind, or begun with another recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mentee.errors import RecipeError, RunError, first_few, shortened
from mentee.recipe import Recipe, read
from mentee.records.folders import splits_of
from mentee.records.manifest import has_manifest
from mentee.urls import Url

FREE = re.compile(
    r"(save|trackers|probe|train\.num_workers)\b"
    r"|(data|monitor|student|teacher)\.((?!methods\.).)*\b(source|weights|record|classifier)\b"
)
"""Keys that may change: results do not depend on them, or are protected by fingerprints (data and
weights may lie elsewhere by now)."""
SWEEP_PLAN, PIPELINE_PLAN, DISTILL_PLAN = "sweep.json", "pipeline.json", "distill.json"


def recipe_changes(saved: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """The differences that a run's results depend on, a text for each key."""
    now = recipe.model_dump(mode="json")
    return [
        text
        for text in differences(with_defaults(saved), now, words=("then", "now"))
        if not FREE.match(text)
    ]


def with_defaults(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a saved recipe, with defaults for keys that its version did not have yet."""
    try:
        return read(saved).model_dump(mode="json")
    except RecipeError:  # of a later version, say: compared as it stands
        return dict(saved)


def differences(
    saved: Any, current: Any, key: str = "", words: tuple[str, str] = ("there", "here")
) -> list[str]:
    """The differences of two nested mappings, a text for each key.

    Example:
        >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
        ['a.b: 1 there, 3 here']
    """
    if isinstance(saved, dict) and isinstance(current, dict):
        return [
            text
            for name in dict.fromkeys([*saved, *current])
            for text in differences(
                saved.get(name), current.get(name), f"{key}.{name}" if key else name, words
            )
        ]
    if saved == current:
        return []
    key = key.removeprefix("recipe.")
    was, now = (shortened(str(value), 60) for value in (saved, current))
    return [f"{key}: {was} {words[0]}, {now} {words[1]}"]


def listing(texts: list[str]) -> str:
    """The first few differences, and how many more there are."""
    return first_few(texts, mark="; ")


def kind_of(folder: Path | Url) -> str | None:
    """`sweep or comparison`, `pipeline`, `distillation`, `run` or `record`; None: none of these."""
    if (folder / SWEEP_PLAN).is_file():
        return "sweep or comparison"
    if (folder / PIPELINE_PLAN).is_file():
        return "pipeline"
    if (folder / DISTILL_PLAN).is_file():
        return "distillation"
    if (folder / "recipe.yaml").is_file() and (folder / "environment.json").is_file():
        return "run"
    if has_manifest(folder) or splits_of(folder) or list(folder.glob(".*.partial")):
        return "record"
    return None


def refuse_other_kind(folder: Path | Url, kind: str) -> None:
    """Make sure that a folder holds nothing, or something of a kind."""
    there = kind_of(folder)
    if there not in (None, kind):
        raise RunError(
            f"{folder} is the folder of a {there}, and a {kind.partition(' ')[0]} there would "
            "damage it; give another --out"
        )
