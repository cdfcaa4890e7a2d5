"""Folders of image files: a folder for each class, or a `metadata.csv`."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

from mentee.data.examples import Examples, make_examples
from mentee.data.images import EncodedImages, FolderFiles
from mentee.data.labels import Labels, read_labels
from mentee.errors import DataError, suggest

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
METADATA = "metadata.csv"

_SPLIT_NAME = re.compile(r"(train|training|val|valid|validation|dev|test|eval)([_.-].*)?")
_ALIASES = {
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


def open_folder(
    root: Path,
    *,
    split: str = "train",
    image: str | None = None,
    label: str | Sequence[str] | None = None,
    id: str | None = None,
    classes: Sequence[str] | None = None,
    channels: int | None = None,
) -> Examples:
    """Read a folder of image files.

    Below the folder, or below its subfolder for the split (`train`, `validation`, `test`), stand
    either `metadata.csv` with a row for each file, or one subfolder for each class, or only
    images. An id is the file's path in `root`, with `/`.

    Args:
        root: the folder.
        split: which split.
        image: the column of `metadata.csv` with the file names; None: `file_name`.
        label: the column, or columns, of `metadata.csv` with the labels; None: `label`.
        id: the column of `metadata.csv` with the ids; None: the files' paths.
        classes: the class names in the order wanted; None: sorted, over all splits.
        channels: 1 (grey) or 3 (RGB); None: as the first image is.

    Returns:
        The split.

    Raises:
        DataError: there is no such split, no image, no such column, or a file is missing.
    """
    base = _split_folder(root, split)
    name = f"{root} [{split}]"
    table = next((p / METADATA for p in (base, root) if (p / METADATA).is_file()), None)
    if table is not None:
        names, ids, labels = _read_metadata(table, root, image, label, id, classes)
    elif image or label or id:
        raise DataError(f"{base} has no {METADATA}, so it has no columns to name")
    else:
        names, labels = _read_class_folders(base, root, classes)
        ids = names
    images = EncodedImages(FolderFiles(root, names), ids, channels=channels)
    return make_examples(images, ids, labels, name=name)


def _folders(folder: Path) -> list[str]:
    names = (entry.name for entry in os.scandir(folder) if entry.is_dir())
    return sorted(name for name in names if not name.startswith((".", "__MACOSX")))


def _split_folders(root: Path) -> list[str]:
    names = _folders(root)
    return names if names and all(_SPLIT_NAME.fullmatch(name) for name in names) else []


def _split_folder(root: Path, split: str) -> Path:
    splits = _split_folders(root)
    if not splits:
        refuse_other_split(root, split)
        return root
    for alias in aliases(split):
        if alias in splits:
            return root / alias
    raise DataError(f"{root} has no split {split!r}: {suggest(split, splits)}")


def _images(folder: Path) -> list[str]:
    found = []
    for place, inner, files in os.walk(folder, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith((".", "__MACOSX"))]
        found += [
            (Path(place) / name).relative_to(folder).as_posix()
            for name in files
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return sorted(found)


def _read_class_folders(
    base: Path, root: Path, classes: Sequence[str] | None
) -> tuple[list[str], Labels]:
    found = _images(base)
    if not found:
        raise DataError(
            f"{base} holds no images; expected a folder for each class, or {METADATA}, "
            f"with files that end in {', '.join(SUFFIXES)}"
        )
    loose = [name for name in found if "/" not in name]
    prefix = "" if base == root else f"{base.relative_to(root).as_posix()}/"
    names = [prefix + name for name in found]
    if len(loose) == len(found):
        return names, Labels()
    if loose:
        raise DataError(
            f"{base} holds {len(loose)} images beside its class folders, such as {loose[0]!r}; "
            "put each into the folder of its class"
        )
    return names, read_labels([name.split("/")[0] for name in found], classes=classes or _all(root))


def _all(root: Path) -> list[str]:
    # Over all splits, so that a class missing from one of them does not shift the numbers.
    parents = [root / split for split in _split_folders(root)] or [root]
    return sorted({name for parent in parents for name in _folders(parent)})


def _read_metadata(
    table: Path,
    root: Path,
    image: str | None,
    label: str | Sequence[str] | None,
    id: str | None,
    classes: Sequence[str] | None,
) -> tuple[list[str], list[str], Labels]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        columns = list(reader.fieldnames or [])

    def column(name: str) -> list[str]:
        if name not in columns:
            raise DataError(f"{table} has no column {name!r}: {suggest(name, columns)}")
        return [row[name] or "" for row in rows]

    if not rows:
        raise DataError(f"{table} has no rows: write one for each image")
    prefix = table.parent.relative_to(root).as_posix()
    given = column(image or "file_name")
    names = [name if prefix == "." else f"{prefix}/{name}" for name in given]
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} files of {table} do not exist, such as {missing[0]!r}; "
            "paths are relative to the table's folder"
        )
    if label is None and "label" not in columns:
        return names, column(id) if id else names, Labels()
    if label is None or isinstance(label, str):
        labels = read_labels(_parsed(column(label or "label")), classes=classes)
    else:
        cells = zip(*(column(name) for name in label), strict=True)
        labels = read_labels([_numbers(row, table) for row in cells], classes=classes or label)
    return names, column(id) if id else names, labels


def _parsed(values: list[str]) -> list[int] | list[str]:
    if all(re.fullmatch(r"-?\d+", value) for value in values):
        return [int(value) for value in values]
    return values


def _numbers(row: Sequence[str], table: Path) -> list[float]:
    try:
        return [float(value) if value.strip() else float("nan") for value in row]
    except ValueError as error:
        raise DataError(
            f"{table}: several label columns must hold 1, 0, or nothing for unknown; {error}"
        ) from error
