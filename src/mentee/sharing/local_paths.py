"""Paths of this machine: found in what a run holds, and taken out of what others see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KEYS = {"source", "weights", "record", "classifier", "unlabeled"}
"""The keys of a recipe that may name a file or a folder."""
LOCAL = "LOCAL"
"""What stands instead of a path."""


def is_path(text: str) -> bool:
    """Whether a value of such a key is a path, and no name of the hub or of built-in data.

    Example:
        >>> [is_path(name) for name in ("hub:owner/name", "cifar10", "new", "data/birds", "a.csv")]
        [False, False, False, True, True]
    """
    scheme, colon, name = text.partition(":")
    if colon and len(scheme) > 1 and not name.startswith(("/", "~", ".", "\\")):
        return False
    return bool(re.search(r"[/\\~.]", text)) or Path(text).exists()


def without_paths(recipe: Any, paths: list[str], named: bool = False) -> Any:
    """A recipe with `LOCAL` instead of each file and folder, which are added to `paths`."""
    if isinstance(recipe, Mapping):
        return {key: without_paths(v, paths, named or key in KEYS) for key, v in recipe.items()}
    if isinstance(recipe, list):
        return [without_paths(each, paths, named) for each in recipe]
    if not (named and isinstance(recipe, str) and is_path(recipe)):
        return recipe
    paths.append(recipe)
    return LOCAL


def local_names(run: Path, recipe: Any) -> list[str]:
    """Texts that tell of this machine: the folders of its user, of the run and of its files."""
    named: list[str] = []
    without_paths(recipe, named)
    folders = {Path.home(), Path.cwd(), run.absolute(), run.resolve()}
    for path in map(Path, named):
        folders |= {path.absolute(), path.absolute().parent, *([path] if path.parent.name else [])}
    names = {str(each) for each in folders if len(each.parts) > 1}
    return sorted(names, key=len, reverse=True)


def pattern(names: Sequence[str], flags: int = 0) -> re.Pattern[str]:
    """One of these paths, with all that is below it; `re.ASCII` where it stands among bytes."""
    whole = "|".join(map(re.escape, names))
    return re.compile(rf"(?<![\w.-])(?:{whole})(?:[/\\][^\s\"'<>|,;)]*)?(?![\w-])", flags)


def cleaned(content: Any, local: re.Pattern[str]) -> Any:
    """The content of a file with `LOCAL` instead of these paths in each text."""
    if isinstance(content, Mapping):
        return {key: cleaned(each, local) for key, each in content.items()}
    if isinstance(content, list):
        return [cleaned(each, local) for each in content]
    return local.sub(LOCAL, content) if isinstance(content, str) else content
