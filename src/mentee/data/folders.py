"""Folders of files, such as images or audio: a folder for each class, or a `metadata.csv`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mentee.data.examples import Examples, make_examples
from mentee.data.modality import Modality
from mentee.data.payload import FolderFiles
from mentee.data.split_names import METADATA, inner_folders, split_folder, split_folders
from mentee.data.text_tables import PLAIN, SourceOptions, named_ids, read_plain
from mentee.errors import DataError
from mentee.tasks import TASKS, Labels, read_labels


def open_folder(root: Path, *, split: str = "train", options: SourceOptions) -> Examples:
    """Read a folder of image files, or of audio files: their names' endings say which.

    Below the folder, or below its subfolder for the split (`train`, `validation`, `test`), stand
    either `metadata.csv` with a row for each file, or one subfolder for each class, or only
    such files. An id is the file's path in `root`, with `/`.

    Args:
        root: the folder.
        split: which split.
        options: which columns of `metadata.csv` to read; of None: `file_name` and `label`, and ids
            are the files' paths. Of classes None: sorted, over all splits.

    Returns:
        The split.

    Raises:
        DataError: there is no such split, no file, no such column, or a file is missing; or there
            are images and clips, and nobody says which are meant.
    """
    known = [each for each in options.modalities.values() if each.suffixes]
    if options.kind is not None:
        known = [each for each in known if each.name == options.kind]
    if not known:
        units = options.modalities[f"{options.kind}"].units
        raise DataError(f"{root} holds no {', '.join(PLAIN)} or .parquet files with {units}")
    base = split_folder(root, split)
    table = next((p / METADATA for p in (base, root) if (p / METADATA).is_file()), None)
    if table is not None:
        names, ids, labels = _read_metadata(table, root, options)
        modality = _modality_of(names, known, base)
    elif options.names_columns:
        raise DataError(f"{base} has no {METADATA}, so it has no columns to name")
    else:
        modality, names, labels = _read_class_folders(base, root, known, options)
        ids = names
    reading = options.reading(f"{root} [{split}]")
    contents = modality.read_files(FolderFiles(root, names), ids, reading)
    return make_examples(contents, ids, labels, modality=modality, name=reading.name)


def _modality_of(names: Sequence[str], known: Sequence[Modality], where: Path) -> Modality:
    counts = [(sum(map(_ends(modality), names)), modality) for modality in known]
    present = [(count, modality) for count, modality in counts if count]
    if len(present) > 1:
        held = " and ".join(f"{count} {modality.files}" for count, modality in present)
        raise DataError(f"{where} holds {held}: say which are meant with `kind`")
    # Names that end in no known way can only be images: Pillow looks at the content.
    return present[0][1] if present else known[0]


def _ends(modality: Modality) -> Callable[[str], bool]:
    return lambda name: name.lower().endswith(modality.suffixes)


def _files_below(folder: Path) -> list[str]:
    names = []
    for parent, inner, files in os.walk(folder, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith((".", "__MACOSX"))]
        within = Path(parent).relative_to(folder)
        names += [(within / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(names)


def _read_class_folders(
    base: Path, root: Path, known: Sequence[Modality], options: SourceOptions
) -> tuple[Modality, list[str], Labels]:
    present = _files_below(base)
    modality = _modality_of(present, known, base)
    files = list(filter(_ends(modality), present))
    if not files:
        suffixes = ", ".join(suffix for each in known for suffix in each.suffixes)
        raise DataError(
            f"{base} holds no {modality.files}; expected a folder for each class, or {METADATA}, "
            f"with files that end in {suffixes}; or tables of texts with a column 'text'"
        )
    loose = [name for name in files if "/" not in name]
    prefix = "" if base == root else f"{base.relative_to(root).as_posix()}/"
    names = [prefix + name for name in files]
    if len(loose) == len(files) or options.label is False:
        return modality, names, Labels()
    if loose:
        raise DataError(
            f"{base} holds {len(loose)} {modality.files} beside its class folders, such as "
            f"{loose[0]!r}; put each into the folder of its class"
        )
    labels = [name.split("/")[0] for name in files]
    task, classes = options.task or TASKS["single"], options.classes
    if task.name == "single":
        classes = classes or _all_classes(root)
    return modality, names, read_labels(labels, classes=classes, task=task, source=f"{base}")


def _all_classes(root: Path) -> list[str]:
    # Over all splits, so that a class missing from one of them does not shift the numbers.
    parents = [root / split for split in split_folders(root)] or [root]
    return sorted({name for parent in parents for name in inner_folders(parent)})


def _read_metadata(
    path: Path, root: Path, options: SourceOptions
) -> tuple[list[str], list[str], Labels]:
    table = read_plain([path])
    if not table.rows:
        raise DataError(f"{path} has no rows: write one for each file")
    prefix = path.parent.relative_to(root).as_posix()
    cells = table.column(options.content or "file_name")
    names = [f"{cell or ''}" if prefix == "." else f"{prefix}/{cell or ''}" for cell in cells]
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} files of {path} do not exist, such as {missing[0]!r}; "
            "paths are relative to the table's folder"
        )
    ids = named_ids(table.column(options.id), options.id, f"{path}") if options.id else names
    return names, ids, table.labels(options)
