"""How files and folders say by their names which split they are."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from mentee.data.local_files import is_hidden
from mentee.errors import DataError, first_few, suggest

METADATA = "metadata.csv"

_SPLIT_NAME = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing|eval|evaluation|unlabell?ed)"
    r"(set|\d+|[ _.-].*)?",
    re.IGNORECASE,
)
_ALIASES = {
    "unlabeled": ("unlabeled", "unlabelled"),
    "unlabelled": ("unlabeled", "unlabelled"),
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
_ENDING = re.compile(r"[ _.-]?(set|data|images|split)$")


def aliases(split: str) -> tuple[str, ...]:
    """The names under which a split may stand in a folder, the split's own first."""
    return _ALIASES.get(split, (split,))


def says_split(stem: str, split: str) -> bool:
    """Whether a file or folder of this name is the split that is asked for."""
    starts = tuple(f"{alias}{mark}" for alias in aliases(split) for mark in "-_")
    return stem.lower().startswith(starts) or find_split(split, [stem], Path()) is not None


def find_split(split: str, names: Collection[str], where: Path) -> str | None:
    """Which of some names is a split: its own, else another usual spelling, in any case; or None.

    Raises:
        DataError: several names are the split's.

    Example:
        >>> find_split("validation", ["Train", "Val"], Path("photos"))
        'Val'
    """
    if split in names:
        return split
    usual = aliases(split)
    matches = [name for name in names if name.lower() in usual] or [
        name for name in names if _ENDING.sub("", name.lower()) in usual
    ]
    if len(matches) > 1:
        raise DataError(
            f"{where} has {' and '.join(map(repr, sorted(matches)))}, and either may be the split "
            f"{split!r}: name the one that is meant, or rename the other"
        )
    return matches[0] if matches else None


def refuse_other_split(path: Path, split: str) -> None:
    """Refuse to hand out a source without splits as anything but what it is."""
    if split != "train" and not says_split(path.stem, split):
        raise DataError(
            f"{path} has no splits, so there is no split {split!r} in it: "
            f"give {split!r} a source of its own, or cut a fraction off the training data"
        )


def inner_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted, hidden ones left out."""
    names = (entry.name for entry in os.scandir(folder) if os.path.isdir(entry.path))
    return sorted(name for name in names if not is_hidden(name))


def split_folders(root: Path, classes: Sequence[str] | None = None) -> tuple[list[str], list[str]]:
    """The folders of the splits, and those that stand beside them and are none.

    Both are empty where the folders in `root` are no splits: a class may be called `train`.

    Raises:
        DataError: it cannot be known whether they are splits or classes.
    """
    names = inner_folders(root)
    splits = [name for name in names if _SPLIT_NAME.fullmatch(name)]
    others = [name for name in names if name not in splits]
    train = next((name for name in splits if find_split("train", [name], root)), None)
    if not splits or (others and (train is None or set(names) <= set(classes or ()))):
        return [], []
    if not others or any(
        find_split(split, [name], root) for split in ("validation", "test") for name in splits
    ):
        return splits, others
    if train is not None and inner_folders(root / train) and not (root / METADATA).is_file():
        some = first_few([*map(repr, others)], 3)
        raise DataError(
            f"{root} holds {train!r}, which has folders in it, beside {some}: splits or classes? "
            f"Move what is no split away, or name {root / train} as the source; if these are "
            "classes, list all of them in data.classes"
        )
    return [], []


def split_folder(root: Path, split: str, classes: Sequence[str] | None = None) -> Path:
    """The folder of one split; `root` itself where it has no splits.

    Raises:
        DataError: there are splits, but not this one; or there are none, and `root` is not it.
    """
    splits, others = split_folders(root, classes)
    if not splits:
        refuse_other_split(root, split)
        return root
    matches = split if split in others else find_split(split, splits, root)
    if matches is None:
        raise DataError(f"{root} has no split {split!r}: {suggest(split, splits)}")
    return root / matches


def tables_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The tables in a folder, else in its folder `data`; `metadata.csv` is none of them."""
    for parent in (folder, folder / "data"):
        files = sorted(parent.iterdir()) if parent.is_dir() else []
        tables = [
            file
            for file in files
            if file.suffix.lower() in suffixes and file.name != METADATA and file.is_file()
        ]
        if tables:
            return tables
    return []


def tables_of(split: str, known: Sequence[Path], *, what: str) -> list[Path]:
    """The tables of one split: `split.csv`, or else all of `split-*.csv`.

    Raises:
        DataError: none of them is of this split, or several are.
    """
    where = known[0].parent
    matches = find_split(split, dict.fromkeys(file.stem for file in known), where)
    starts = tuple(f"{alias}-" for alias in aliases(split))
    tables = [
        file
        for file in known
        if (file.stem == matches if matches else file.stem.lower().startswith(starts))
    ]
    once = {file.stem: file for file in tables}
    twice = [
        f"{each.name} and {once[each.stem].name}" for each in tables if each != once[each.stem]
    ]
    if twice:
        raise DataError(
            f"{where} holds {twice[0]}, so split {split!r} is there twice; move one of them away, "
            "or name the file that is meant as the source"
        )
    if not tables:
        hint = suggest(split, [file.stem for file in known])
        raise DataError(f"{where} has no {what} of split {split!r}: {hint}")
    return tables
