"""Folders of files, such as images or audio: a folder for each class, or a `metadata.csv`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mentee.data.examples import Examples, read_files
from mentee.data.local_files import files_below, refuse_outside
from mentee.data.modality import Modality
from mentee.data.payload import FolderFiles
from mentee.data.source_options import SourceOptions
from mentee.data.split_names import METADATA, inner_folders, split_folder, split_folders
from mentee.data.text_tables import PLAIN, named_ids, read_plain
from mentee.data.unreadable import SKIP
from mentee.errors import DataError
from mentee.tasks import TASKS, Labels, read_labels


def open_folder(root: Path, *, split: str = "train", options: SourceOptions) -> Examples:
    """Read a folder of image files, or of audio files: their names' endings say which.

    Below the folder, or below its subfolder for the split (`train`, `validation`, `test`), stand
    either `metadata.csv` with a row for each file, or one subfolder for each class, or only
    such files. An id is the file's path in `root`, with `/`. Classes that nobody names are sorted,
    over all splits.

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
    base = split_folder(root, split, options.classes)
    refuse_outside(root, [base], outside=options.outside)
    table = next((p / METADATA for p in (base, root) if (p / METADATA).is_file()), None)
    present, inner = list[str](), list[str]()
    if table is None:
        present, inner = files_below(base, root, outside=options.outside)
    left_out: list[str] = []
    if table is not None:
        names, ids, labels = _read_metadata(table, base, root, options)
        modality = _modality_of(names, known, base)
        others = sorted(each.name for each in table.parent.glob("metadata.*") if each != table)
        left_out = [f"left out of {table.parent}: {', '.join(others)}"] if others else []
    elif options.names_columns:
        raise DataError(f"{base} has no {METADATA}, so it has no columns to name")
    else:
        modality, names, labels = _read_class_folders(present, base, root, known, options)
        ids = names
        left_out = _left_out(present, modality, base, root, options)
        left_out += [
            f"{base / name} is a folder, though it is named like one of the {modality.files}"
            for name in filter(_ends(modality), inner)
        ]
    reading = options.reading(f"{root} [{split}]")
    files = FolderFiles(root, names)
    return read_files(modality, files, ids, labels, reading, left_out=left_out)


def _left_out(
    present: Sequence[str], modality: Modality, base: Path, root: Path, options: SourceOptions
) -> list[str]:
    """Lines on what stands in the folder and is not read."""
    others = [name for name in present if not _ends(modality)(name)]
    endings = Counter(Path(name).suffix.lower() or Path(name).name for name in others)
    kinds = [f"{count:,} {ending}" for ending, count in endings.most_common(5)]
    kinds += ["..."] if len(endings) > 5 else []
    lines = [f"left out of {base}: {', '.join(kinds)}"] if others else []
    folders = [name for name in split_folders(root, options.classes)[1] if root / name != base]
    return lines + [f"left out of {root}: the folder {name!r}, no split" for name in folders]


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


def _read_class_folders(
    present: Sequence[str],
    base: Path,
    root: Path,
    known: Sequence[Modality],
    options: SourceOptions,
) -> tuple[Modality, list[str], Labels]:
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
        classes = classes or _all_classes(root, base)
    return modality, names, read_labels(labels, classes=classes, task=task, source=f"{base}")


def _all_classes(root: Path, base: Path) -> list[str]:
    # Over all splits, so that a class missing from one of them does not shift the numbers.
    parents = [root / split for split in split_folders(root)[0]] if base != root else [root]
    return sorted({name for parent in parents for name in inner_folders(parent)})


def _read_metadata(
    path: Path, base: Path, root: Path, options: SourceOptions
) -> tuple[list[str], list[str], Labels]:
    refuse_outside(root, [path], outside=options.outside)
    table = read_plain([path])
    prefix = path.parent.relative_to(root).as_posix()
    cells = table.column(options.content or "file_name")
    names = [f"{cell or ''}" if prefix == "." else f"{prefix}/{cell or ''}" for cell in cells]
    if path.parent != base:  # the table of all splits
        own = [i for i, name in enumerate(names) if (root / name).is_relative_to(base)]
        table = replace(table, rows=[table.rows[i] for i in own])
        names = [names[i] for i in own]
    if not names:
        raise DataError(f"{path} has no rows of files in {base}: write one for each file")
    refuse_outside(
        root, [root / name for name in names], outside=options.outside, named_by=f"{path}"
    )
    missing = [name for name in names if not (root / name).is_file()]
    if missing and options.unreadable != SKIP:
        raise DataError(
            f"{len(missing)} files of {path} do not exist, such as {missing[0]!r}; "
            "paths are relative to the table's folder"
        )
    ids = named_ids(table.column(options.id), options.id, f"{path}") if options.id else names
    return names, ids, table.labels(options)
