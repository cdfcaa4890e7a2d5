"""Folders of image or audio files: a folder for each class, or a `metadata.csv`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mentee.data.audio import EncodedClips
from mentee.data.columns import PLAIN, USUAL, Columns, named_ids, read_plain
from mentee.data.examples import Examples, make_examples
from mentee.data.file_bytes import Files, FolderFiles
from mentee.data.images import EncodedImages
from mentee.data.labels import Labels, read_labels
from mentee.data.payload import Kind, Payload
from mentee.data.split_names import METADATA, inner_folders, split_folder, split_folders
from mentee.errors import DataError

SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "image": (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    "audio": (
        ".aif",
        ".aiff",
        ".au",
        ".caf",
        ".flac",
        ".mp3",
        ".oga",
        ".ogg",
        ".opus",
        ".w64",
        ".wav",
    ),
}
"""How the names of files end that hold an image, or a clip."""

_PLURAL = {"image": "images", "audio": "audio files"}


def open_folder(
    root: Path,
    *,
    split: str = "train",
    columns: Columns = USUAL,
    classes: Sequence[str] | None = None,
    channels: int | None = None,
    sample_rate: int = 16_000,
) -> Examples:
    """Read a folder of image files, or of audio files: their names' endings say which.

    Below the folder, or below its subfolder for the split (`train`, `validation`, `test`), stand
    either `metadata.csv` with a row for each file, or one subfolder for each class, or only
    such files. An id is the file's path in `root`, with `/`.

    Args:
        root: the folder.
        split: which split.
        columns: which columns of `metadata.csv` to read; None: `file_name` and `label`, and ids
            are the files' paths.
        classes: the class names in the order wanted; None: sorted, over all splits.
        channels: 1 (gray) or 3 (RGB); None: as the first image is.
        sample_rate: samples a second to read audio at.

    Returns:
        The split.

    Raises:
        DataError: there is no such split, no file, no such column, or a file is missing; or there
            are images and clips, and nobody says which are meant.
    """
    if columns.kind == "text":
        raise DataError(f"{root} holds no {', '.join(PLAIN)} or .parquet files with texts")
    base = split_folder(root, split)
    table = next((p / METADATA for p in (base, root) if (p / METADATA).is_file()), None)
    if table is not None:
        names, ids, labels = _read_metadata(table, root, columns, classes)
        kind = columns.kind or _kind_of(names, base)
    elif columns.content or columns.label or columns.id:
        raise DataError(f"{base} has no {METADATA}, so it has no columns to name")
    else:
        labeled = columns.label is not False
        kind, names, labels = _read_class_folders(base, root, columns.kind, classes, labeled)
        ids = names
    contents = encoded(
        kind, FolderFiles(root, names), ids, channels=channels, sample_rate=sample_rate
    )
    return make_examples(contents, ids, labels, name=f"{root} [{split}]")


def encoded(
    kind: Kind, files: Files, ids: Sequence[str], *, channels: int | None, sample_rate: int
) -> Payload:
    """Encoded files as what they hold.

    Args:
        kind: `image` or `audio`.
        files: the files.
        ids: the rows' ids, for messages.
        channels: of images 1 (gray) or 3 (RGB); None: as the first image is.
        sample_rate: samples a second to read audio at.

    Raises:
        DataError: the first image is damaged.
    """
    if kind == "image":
        return EncodedImages(files, ids, channels=channels)
    return EncodedClips(files, ids, sample_rate=sample_rate)


def _kind_of(names: Sequence[str], where: Path) -> Kind:
    counts = {kind: sum(map(_ends(kind), names)) for kind in SUFFIXES}
    if min(counts.values()):
        raise DataError(
            f"{where} holds {counts['image']} images and {counts['audio']} audio files: "
            "say which are meant with `kind`"
        )
    # Names that end in neither way can only be images: Pillow looks at the content.
    return "audio" if counts["audio"] else "image"


def _ends(kind: Kind) -> Callable[[str], bool]:
    return lambda name: name.lower().endswith(SUFFIXES[kind])


def _found(folder: Path) -> list[str]:
    found = []
    for place, inner, files in os.walk(folder, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith((".", "__MACOSX"))]
        within = Path(place).relative_to(folder)
        found += [(within / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def _read_class_folders(
    base: Path, root: Path, kind: Kind | None, classes: Sequence[str] | None, labeled: bool
) -> tuple[Kind, list[str], Labels]:
    there = _found(base)
    kind = kind or _kind_of(there, base)
    found = list(filter(_ends(kind), there))
    if not found:
        wanted = SUFFIXES[kind] if kind == "audio" else SUFFIXES["image"] + SUFFIXES["audio"]
        raise DataError(
            f"{base} holds no {_PLURAL[kind]}; expected a folder for each class, or {METADATA}, "
            f"with files that end in {', '.join(wanted)}; or tables of texts with a column 'text'"
        )
    loose = [name for name in found if "/" not in name]
    prefix = "" if base == root else f"{base.relative_to(root).as_posix()}/"
    names = [prefix + name for name in found]
    if len(loose) == len(found) or not labeled:
        return kind, names, Labels()
    if loose:
        raise DataError(
            f"{base} holds {len(loose)} {_PLURAL[kind]} beside its class folders, such as "
            f"{loose[0]!r}; put each into the folder of its class"
        )
    labels = [name.split("/")[0] for name in found]
    return kind, names, read_labels(labels, classes=classes or _all(root))


def _all(root: Path) -> list[str]:
    # Over all splits, so that a class missing from one of them does not shift the numbers.
    parents = [root / split for split in split_folders(root)] or [root]
    return sorted({name for parent in parents for name in inner_folders(parent)})


def _read_metadata(
    path: Path, root: Path, columns: Columns, classes: Sequence[str] | None
) -> tuple[list[str], list[str], Labels]:
    table = read_plain([path])
    if not table.rows:
        raise DataError(f"{path} has no rows: write one for each file")
    prefix = path.parent.relative_to(root).as_posix()
    given = table.column(columns.content or "file_name")
    names = [f"{name or ''}" if prefix == "." else f"{prefix}/{name or ''}" for name in given]
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} files of {path} do not exist, such as {missing[0]!r}; "
            "paths are relative to the table's folder"
        )
    ids = named_ids(table.column(columns.id), columns.id, f"{path}") if columns.id else names
    return names, ids, table.labels(columns.label, classes)
