"""How files and folders say by their names which split they are."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from mentee.errors import DataError, suggest

METADATA = "metadata.csv"

_SPLIT_NAME = re.compile(
    r"(train|training|val|valid|validation|dev|test|eval|unlabeled|unlabelled)([_.-].*)?"
)
_ALIASES = {
    "unlabeled": ("unlabeled", "unlabelled"),
    "unlabelled": ("unlabeled", "unlabelled"),
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}


def aliases(split: str) -> tuple[str, ...]:
    """The names under which a split may stand in a folder, the split's own first."""
    return _ALIASES.get(split, (split,))


def says_split(stem: str, split: str) -> bool:
    """Whether a file or folder of this name is the split that is asked for."""
    return any(stem == name or stem.startswith((f"{name}-", f"{name}_")) for name in aliases(split))


def refuse_other_split(path: Path, split: str) -> None:
    """Refuse to hand out a source without splits as anything but what it is.

    Raises:
        DataError: the split is not `train`, and the path's last name does not say it.
    """
    if split != "train" and not says_split(path.stem, split):
        raise DataError(
            f"{path} has no splits, so there is no split {split!r} in it: "
            f"give {split!r} a source of its own, or cut a fraction off the training data"
        )


def inner_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted, hidden ones left out."""
    names = (entry.name for entry in os.scandir(folder) if entry.is_dir())
    return sorted(name for name in names if not name.startswith((".", "__MACOSX")))


def split_folders(root: Path) -> list[str]:
    """The folders of the splits; empty where not all folders in `root` have such names."""
    names = inner_folders(root)
    return names if names and all(_SPLIT_NAME.fullmatch(name) for name in names) else []


def split_folder(root: Path, split: str) -> Path:
    """The folder of one split; `root` itself where it has no splits.

    Raises:
        DataError: there are splits, but not this one; or there are none, and `root` is not it.
    """
    splits = split_folders(root)
    if not splits:
        refuse_other_split(root, split)
        return root
    for alias in aliases(split):
        if alias in splits:
            return root / alias
    raise DataError(f"{root} has no split {split!r}: {suggest(split, splits)}")


def tables_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The tables in a folder, else in its folder `data`; `metadata.csv` is none of them."""
    for parent in (folder, folder / "data"):
        files = sorted(parent.iterdir()) if parent.is_dir() else []
        tables = [file for file in files if file.suffix in suffixes and file.name != METADATA]
        if tables:
            return tables
    return []


def tables_of(split: str, known: Sequence[Path], *, what: str) -> list[Path]:
    """The tables of one split: `split.csv`, or else all of `split-*.csv`.

    Raises:
        DataError: none of them is of this split.
    """
    for alias in aliases(split):
        exact = [file for file in known if file.stem == alias]
        tables = exact or [file for file in known if file.stem.startswith(f"{alias}-")]
        if tables:
            return tables
    hint = suggest(split, [file.stem for file in known])
    raise DataError(f"{known[0].parent} has no {what} of split {split!r}: {hint}")
