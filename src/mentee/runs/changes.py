"""What differs between the recipe that something was begun with and the one it has now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mentee.errors import RecipeError
from mentee.recipe import Recipe, read

FREE = re.compile(
    r"(save|trackers|probe|train\.num_workers)\b"
    r"|(data|monitor|student|teacher)\.((?!methods\.).)*\b(source|weights|record|classifier)\b"
)
"""Keys that may change: results do not depend on them, or are protected by fingerprints (data and
weights may lie elsewhere by now)."""
SHOWN = 5


def recipe_changes(saved: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """The differences that a run's results depend on, a text for each key.

    Args:
        saved: content of the recipe that the run began with.
        recipe: the one it has now.
    """
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
    return [f"{key}: {brief(saved)} {words[0]}, {brief(current)} {words[1]}"]


def listing(texts: list[str]) -> str:
    """The first few differences, and how many more there are.

    Example:
        >>> listing(["a: 1 there, 2 here", "b: 1 there, 2 here"])
        'a: 1 there, 2 here; b: 1 there, 2 here'
    """
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return "; ".join(texts[:SHOWN]) + more


def brief(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
