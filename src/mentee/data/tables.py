"""Tables read through the `datasets` library: parquet files, hub names, `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentee.data.columns import LABEL_NAMES, USUAL, Columns, Label, named_ids
from mentee.data.examples import Examples, make_examples, row_ids
from mentee.data.file_bytes import ColumnFiles
from mentee.data.folders import encoded
from mentee.data.labels import Labels, read_labels
from mentee.data.payload import Kind, Payload
from mentee.data.split_names import refuse_other_split
from mentee.data.texts import ID, TEXT, Texts
from mentee.errors import DataError, suggest

_NAMES: dict[Kind, tuple[str, ...]] = {
    "image": ("image", "img", "images"),
    "audio": ("audio",),
    "text": (TEXT,),
}


def open_table(
    dataset: Any,
    *,
    name: str,
    rows: str,
    columns: Columns = USUAL,
    classes: Sequence[str] | None = None,
    channels: int | None = None,
    sample_rate: int = 16_000,
) -> Examples:
    """Read one `datasets.Dataset`.

    Args:
        dataset: the table; images as `datasets.Image`, audio as `datasets.Audio`, either as bytes
            of encoded files too; or texts.
        name: what to call it in messages.
        rows: what row numbers are called in ids: `rows/0`, `rows/1`, ...
        columns: which columns to read; texts have their ids in `id` where there is such a column.
        classes: the class names in the order wanted; None: as the schema has them.
        channels: 1 (gray) or 3 (RGB); None: as the first image is.
        sample_rate: samples a second to read audio at.

    Returns:
        All rows of the table.

    Raises:
        DataError: a column is missing, or holds something else than it should.
    """
    if not len(dataset):
        raise DataError(f"{name} is empty: give it at least one example")
    table = dataset.with_format(None)
    kind, column = _content(table, columns, name)
    own = columns.id or (ID if kind == "text" and ID in table.column_names else None)
    ids = _ids(table, own, name) if own else row_ids(rows, len(table))
    contents: Payload
    if kind == "text":
        contents = Texts(list(table[column]), ids)
    else:
        files = _files(table, column, name)
        contents = encoded(kind, files, ids, channels=channels, sample_rate=sample_rate)
    return make_examples(contents, ids, _labels(table, columns.label, classes, name), name=name)


def _known(dataset: Any, column: str, name: str) -> str:
    if column not in dataset.column_names:
        hint = suggest(column, dataset.column_names)
        raise DataError(f"{name} has no column {column!r}: {hint}")
    return column


def _ids(dataset: Any, column: str, name: str) -> list[str]:
    return named_ids(list(dataset[_known(dataset, column, name)]), column, name)


def _content(dataset: Any, columns: Columns, name: str) -> tuple[Kind, str]:
    if columns.content is not None and columns.kind is not None:
        return columns.kind, _known(dataset, columns.content, name)
    kinds = [columns.kind] if columns.kind else list(_NAMES)
    typed = [
        (kind, str(column))
        for column, feature in dataset.features.items()
        for kind in kinds
        if type(feature).__name__ == kind.capitalize()  # datasets.Image, datasets.Audio
    ]
    usual = [(kind, c) for kind in kinds for c in _NAMES[kind] if c in dataset.column_names]
    if len(typed) == 1:
        return typed[0]
    if usual:
        return usual[0]
    candidates = ", ".join([column for _, column in typed] or dataset.column_names)
    ways = " or ".join(f"`{kind}`" for kind in kinds)
    raise DataError(
        f"it is not clear which column of {name} holds the examples: "
        f"name one of {candidates} as {ways}"
    )


def _files(dataset: Any, column: str, name: str) -> ColumnFiles:
    from datasets import Audio, Image

    table = dataset.select_columns([column])
    feature = table.features[column]
    if isinstance(feature, (Image, Audio)):
        table = table.cast_column(column, type(feature)(decode=False))
    table = table.with_format("arrow")
    kind = str(table[:1][column].type)
    if not kind.startswith(("struct<bytes", "binary", "large_binary")):
        raise DataError(
            f"column {column!r} of {name} holds {kind}; expected encoded files "
            "(datasets.Image, datasets.Audio, or bytes); give pixels or samples as arrays instead: "
            "{'image': uint8 [n, h, w, c], 'label': [n]}"
        )
    return ColumnFiles(table, column)


def _labels(
    dataset: Any,
    given: Label,
    classes: Sequence[str] | None,
    name: str,
) -> Labels:
    if given is False:
        return Labels()
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
    for usual in LABEL_NAMES:
        if usual in dataset.column_names:
            return usual
    typed = [c for c, feature in dataset.features.items() if isinstance(feature, ClassLabel)]
    if len(typed) > 1:
        raise DataError(
            f"{name} has several columns of classes ({', '.join(typed)}): name one as `label`"
        )
    return typed[0] if typed else None


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
