"""Tables read through the `datasets` library: parquet files, hub names, `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee.data.examples import Examples, make_examples, row_ids
from mentee.data.folders import aliases, refuse_other_split
from mentee.data.images import ColumnFiles, EncodedImages
from mentee.data.labels import Labels, read_labels
from mentee.errors import DataError, suggest

_IMAGE_NAMES = ("image", "img", "images", "image")
_LABEL_NAMES = ("label", "labels", "fine_label", "class")


@dataclass(frozen=True)
class Columns:
    """Which columns to read; None: the usual names.

    Attributes:
        image: the encoded images.
        label: one column of labels, or several of 0/1.
        id: the examples' own names; None: the row numbers.
    """

    image: str | None = None
    label: str | Sequence[str] | None = None
    id: str | None = None


def open_table(
    dataset: Any,
    *,
    name: str,
    rows: str,
    columns: Columns = Columns(),
    classes: Sequence[str] | None = None,
    channels: int | None = None,
) -> Examples:
    """Read one `datasets.Dataset`.

    Args:
        dataset: the table; images as `datasets.Image`, or bytes.
        name: what to call it in messages.
        rows: what row numbers are called in ids: `rows/0`, `rows/1`, ...
        columns: which columns to read.
        classes: the class names in the order wanted; None: as the schema has them.
        channels: 1 (grey) or 3 (RGB); None: as the first image is.

    Returns:
        All rows of the table.

    Raises:
        DataError: a column is missing, or holds something else than it should.
    """
    if not len(dataset):
        raise DataError(f"{name} is empty: give it at least one example")
    table = dataset.with_format(None)
    ids = _ids(table, columns.id, name) if columns.id else row_ids(rows, len(table))
    column = _image_column(table, columns.image, name)
    images = EncodedImages(_files(table, column, name), ids, channels=channels)
    return make_examples(images, ids, _labels(table, columns.label, classes, name), name=name)


def _known(dataset: Any, column: str, name: str) -> str:
    if column not in dataset.column_names:
        hint = suggest(column, dataset.column_names)
        raise DataError(f"{name} has no column {column!r}: {hint}")
    return column


def _ids(dataset: Any, column: str, name: str) -> list[str]:
    values = list(dataset[_known(dataset, column, name)])
    missing = next((row for row, value in enumerate(values) if value is None), None)
    if missing is not None:
        raise DataError(f"row {missing} of {name} has no id in column {column!r}: give it one")
    return [str(value) for value in values]


def _image_column(dataset: Any, given: str | None, name: str) -> str:
    from datasets import Image

    if given is not None:
        return _known(dataset, given, name)
    typed = [c for c, feature in dataset.features.items() if isinstance(feature, Image)]
    usual = [c for c in _IMAGE_NAMES if c in dataset.column_names]
    if len(typed) == 1:
        return str(typed[0])
    if usual:
        return usual[0]
    raise DataError(
        f"it is not clear which column of {name} holds the images: name one of "
        f"{', '.join(typed or dataset.column_names)} as `image`"
    )


def _files(dataset: Any, column: str, name: str) -> ColumnFiles:
    from datasets import Image

    table = dataset.select_columns([column])
    if isinstance(table.features[column], Image):
        table = table.cast_column(column, Image(decode=False))
    table = table.with_format("arrow")
    kind = str(table[:1][column].type)
    if not kind.startswith(("struct<bytes", "binary", "large_binary")):
        raise DataError(
            f"column {column!r} of {name} holds {kind}; expected encoded image files "
            "(datasets.Image, or bytes); give pixels as arrays instead: "
            "{'image': uint8 [n, h, w, c], 'label': [n]}"
        )
    return ColumnFiles(table, column)


def _labels(
    dataset: Any,
    given: str | Sequence[str] | None,
    classes: Sequence[str] | None,
    name: str,
) -> Labels:
    if given is not None and not isinstance(given, str):
        cells = zip(*(dataset[_known(dataset, c, name)] for c in given), strict=True)
        return read_labels(list(cells), classes=classes or given)
    column = _label_column(dataset, given, name)
    if column is None:
        return Labels()
    feature = dataset.features[column]
    items = getattr(feature, "feature", None)
    names = getattr(feature, "names", None) or getattr(items, "names", None)
    sets = getattr(items, "names", None) is not None
    return read_labels(list(dataset[column]), names=names, classes=classes, sets=sets)


def _label_column(dataset: Any, given: str | None, name: str) -> str | None:
    from datasets import ClassLabel

    if given is not None:
        return _known(dataset, given, name)
    for usual in _LABEL_NAMES:
        if usual in dataset.column_names:
            return usual
    typed = [c for c, feature in dataset.features.items() if isinstance(feature, ClassLabel)]
    if len(typed) > 1:
        raise DataError(
            f"{name} has several columns of classes ({', '.join(typed)}): name one as `label`"
        )
    return typed[0] if typed else None


def find_parquet(folder: Path, split: str) -> list[Path]:
    """The parquet files of one split: `split.parquet` or `split-*.parquet`, here or in `data/`.

    Args:
        folder: the folder.
        split: which split.

    Returns:
        The files in the order of their names; empty where the folder has no parquet files at all.

    Raises:
        DataError: there are parquet files, but none of this split.
    """
    known = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
    for alias in aliases(split):
        found = [file for file in known if file.stem == alias or file.stem.startswith(f"{alias}-")]
        if found:
            return found
    if known:
        raise DataError(
            f"{folder} has no parquet files of split {split!r}: "
            f"{suggest(split, [file.stem for file in known])}"
        )
    return []


def open_parquet(files: Sequence[Path], *, split: str, rows: str = "", **options: Any) -> Examples:
    """Read parquet files as one table.

    Args:
        files: the files, in order.
        split: which split they are asked for as.
        rows: what row numbers are called in ids; empty: a single file's name, else the split.
        options: as for `open_table`.

    Returns:
        All rows of the files.

    Raises:
        DataError: a file cannot be read, or is not the split asked for.
    """
    from datasets import Dataset

    for file in files:
        refuse_other_split(file, split)
    name = f"{files[0]}" if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    try:
        dataset = Dataset.from_parquet([str(file) for file in files])
    except Exception as error:  # datasets wraps whatever the reader raised
        reason = error.__cause__ or error
        raise DataError(f"{name} cannot be read as parquet ({reason}); write it anew") from error
    rows = rows or (files[0].stem if len(files) == 1 else split)
    return open_table(dataset, name=name, rows=rows, **options)


def open_hub(name: str, *, split: str, **options: Any) -> Examples:
    """Read a data set of the Hugging Face hub, from its cache where it has been read before.

    Args:
        name: `owner/name`, or `owner/name:configuration`.
        split: which split.
        options: as for `open_table`.

    Returns:
        The split.

    Raises:
        DataError: there is no such data set or split, or no network.
    """
    from datasets import load_dataset

    path, _, configuration = name.partition(":")
    try:
        dataset = load_dataset(path, configuration or None, split=split)
    except Exception as error:  # network, hub and builder errors have no common class
        raise DataError(
            f"the hub data set {name!r} [{split}] cannot be loaded ({error}); check its name and "
            "split; without a network, give a folder or parquet files instead"
        ) from error
    return open_table(dataset, name=f"{name} [{split}]", rows=split, **options)
