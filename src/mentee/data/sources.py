"""A source, as a recipe or a notebook names it → its examples."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mentee.data.arrays import open_arrays
from mentee.data.builtin import CIFAR10_HUB, EMBEDDED, find_cifar10, open_embedded
from mentee.data.columns import PLAIN, Columns, Label
from mentee.data.examples import Examples
from mentee.data.folders import open_folder
from mentee.data.payload import KINDS, Kind
from mentee.data.split_names import tables_in, tables_of
from mentee.data.splits import limit as at_most
from mentee.data.tables import open_hub, open_parquet, open_table
from mentee.data.texts import open_texts, text_tables
from mentee.errors import DataError, suggest


def open_examples(
    source: Any,
    *,
    split: str = "train",
    kind: str | None = None,
    image: str | None = None,
    audio: str | None = None,
    text: str | None = None,
    label: Label = None,
    id: str | None = None,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    channels: int | None = None,
    sample_rate: int = 16_000,
) -> Examples:
    """Open one split of a source. Images and audio are read later, when they are needed.

    | source | what it is | ids, where no column is named |
    |---|---|---|
    | `"folder/"` | a folder for each class, or `metadata.csv`, of images or audio files | paths |
    | `"folder/"` | a table for each split: parquet; CSV, TSV, JSON lines of texts | `train/0` |
    | `"file.parquet"`, `"part-*.parquet"`, `"file.csv"` | one table | `file/0`; `train/0` |
    | `"embedded:digits"`, `"embedded:mnist"` | what an installed package brings | `digits/0` |
    | `"cifar10"` | in `MENTEE_DATA`, else the hub's `uoft-cs/cifar10` | `train/0` |
    | `"hub:owner/name"`, `"hub:owner/name:configuration"` | of the Hugging Face hub | `train/0` |
    | `datasets.Dataset`, `datasets.DatasetDict` | in memory or mapped | `train/0` |
    | `{"image": [n, h, w, c], "label": [n], "id": [n]}` | NumPy or torch, uint8 | `train/0` |
    | `{"audio": [n, samples], "sample_rate": 16000, ...}` | floating point or int16 | `train/0` |
    | `{"text": [n], ...}` | texts | `train/0` |

    A table of texts that has a column `id` has its ids there. What a table holds is said by
    `kind`, else by which of `image`, `audio` and `text` names a column, else by the columns' types
    and names; what a folder holds, else by how its files' names end.

    Args:
        source: see the table.
        split: `train`, `validation`, `test`, or what the source calls it.
        kind: `image`, `audio` or `text`; None: what the source says.
        image: the column of the images, or their file names; None: the usual names.
        audio: the same of audio clips.
        text: the column of the texts; None: `text`.
        label: the column of the labels, or several columns of 0/1 for several classes at once;
            False: there are none, or they are not to be read.
        id: the column of the ids, which must never change; None: see the table.
        classes: the class names in the order wanted, such as another split's; None: the source's.
        limit: take so many examples, balanced over the classes, always the same ones.
        channels: 1 (gray) or 3 (RGB); None: as the first image is.
        sample_rate: samples a second to read audio at.

    Returns:
        The split.

    Raises:
        DataError: what the source says cannot be read, or is not what was asked for.

    Example:
        >>> digits = open_examples("embedded:digits", limit=100)
        >>> len(digits), digits.task, digits.classes[:3]
        (100, 'single', ('0', '1', '2'))
    """
    if channels not in (None, 1, 3):
        raise DataError(f"channels {channels}: expected 1 (gray) or 3 (RGB)")
    if sample_rate < 1000:
        raise DataError(f"rate {sample_rate}: expected samples a second, such as 16000")
    columns = _columns(kind, {"image": image, "audio": audio, "text": text}, label, id)
    options = {
        "columns": columns,
        "classes": classes,
        "channels": channels,
        "sample_rate": sample_rate,
    }
    if isinstance(source, (str, Path)):
        examples = _open_named(str(source), split, options)
    elif hasattr(source, "column_names"):
        examples = _open_dataset(source, split, options)
    elif isinstance(source, Mapping):
        _refuse_columns(columns, "arrays")
        arrays = {key: x for key, x in source.items() if key != "label" or label is not False}
        examples = open_arrays(
            arrays, rows=split, classes=classes, channels=channels, sample_rate=sample_rate
        )
    else:
        raise DataError(
            f"a source cannot be a {type(source).__name__}; expected a path or name, "
            "a datasets.Dataset, or {'image': ..., 'label': ...}"
        )
    if kind is not None and examples.kind != kind:
        raise DataError(f"{examples.name} holds {examples.kind}, not {kind}: leave `kind` out")
    if channels == 3 and examples.kind != "image":
        raise DataError(f"channels 3: {examples.name} holds {examples.kind}; leave `channels` out")
    return examples if limit is None else at_most(examples, limit, seed=0)


def _columns(
    kind: str | None,
    contents: Mapping[str, str | None],
    label: Label,
    id: str | None,
) -> Columns:
    if kind is not None and kind not in KINDS:
        raise DataError(f"kind {kind!r}: {suggest(kind, KINDS)}")
    named = {key: column for key, column in contents.items() if column is not None}
    if len(named) > 1 or (kind and named and kind not in named):
        raise DataError(
            f"the column of {' and of '.join(named)} is named for a source of "
            f"{kind or 'one kind'}: name the one that is to be learned from"
        )
    said = kind or next(iter(named), None)
    return Columns(cast("Kind | None", said), next(iter(named.values()), None), label, id)


def _refuse_columns(columns: Columns, what: str) -> None:
    if columns.content or columns.label or columns.id:
        raise DataError(f"{what} have no columns to name: leave out image, label and id")


def _open_dataset(source: Any, split: str, options: dict[str, Any]) -> Examples:
    if isinstance(source, Mapping):
        if split not in source:
            raise DataError(f"the DatasetDict has no split {split!r}: {suggest(split, source)}")
        source = source[split]
    return open_table(source, name=f"the Dataset [{split}]", rows=split, **options)


def _open_named(source: str, split: str, options: dict[str, Any]) -> Examples:
    kind, colon, name = source.partition(":")
    if colon and kind == "embedded":
        return _open_embedded(name, split, options)
    if colon and kind == "hub":
        return open_hub(name, split=split, **options)
    path = Path(source).expanduser()
    if source == "cifar10" and not path.exists():
        folder = find_cifar10()
        return _open_path(folder, split, options) if folder else _cifar10_hub(split, options)
    return _open_path(path, split, options)


def _cifar10_hub(split: str, options: dict[str, Any]) -> Examples:
    try:
        return open_hub(CIFAR10_HUB, split=split, **options)
    except DataError as error:
        raise DataError(
            f"cifar10 is not in the folder that the environment variable MENTEE_DATA names "
            f"(expected cifar10/train.parquet and test.parquet there), and {error}"
        ) from error


def _open_embedded(name: str, split: str, options: dict[str, Any]) -> Examples:
    _refuse_columns(options["columns"], f"embedded:{name} does")
    examples = open_embedded(name, split=split, channels=options["channels"])
    if options["columns"].label is False:
        return replace(examples, labels=None, mask=None, classes=None)
    if options["classes"] is not None and tuple(options["classes"]) != examples.classes:
        raise DataError(f"the classes of embedded:{name} are {', '.join(examples.classes or ())}")
    return examples


def _open_path(path: Path, split: str, options: dict[str, Any]) -> Examples:
    columns = options["columns"]
    if path.is_dir():
        parquet = tables_in(path, (".parquet",))
        if parquet:
            files = tables_of(split, parquet, what="parquet files")
            return open_parquet(files, split=split, rows=split, **options)
        plain = text_tables(path, columns)
        if plain:
            files = tables_of(split, plain, what="tables of texts")
            return open_texts(files, split=split, rows=split, **_of_texts(options))
        return open_folder(path, split=split, **options)
    files = sorted(Path(file) for file in glob.glob(str(path)))
    if files and all(file.suffix == ".parquet" for file in files):
        return open_parquet(files, split=split, **options)
    if files and all(file.suffix in PLAIN for file in files):
        return open_texts(files, split=split, **_of_texts(options))
    if path.is_file():
        raise DataError(
            f"{path} is no table; expected .parquet, {', '.join(PLAIN)}, or a folder of images "
            "or audio files"
        )
    raise DataError(
        f"the source {str(path)!r} does not exist; expected a folder of images or audio files, "
        f"parquet files, {', '.join(PLAIN)} files of texts, one of "
        f"{', '.join(f'embedded:{name}' for name in EMBEDDED)}, cifar10, or "
        f"hub:owner/name for a data set of the hub"
    )


def _of_texts(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("columns", "classes")}
