"""A source, as a recipe or a notebook names it → its examples."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee.data.arrays import open_arrays
from mentee.data.embedded import CIFAR10_HUB, EMBEDDED, find_cifar10, open_embedded
from mentee.data.examples import Examples
from mentee.data.folders import open_folder
from mentee.data.splits import limit as at_most
from mentee.data.tables import Columns, find_parquet, open_hub, open_parquet, open_table
from mentee.errors import DataError, suggest


def open_examples(
    source: Any,
    *,
    split: str = "train",
    image: str | None = None,
    label: str | Sequence[str] | None = None,
    id: str | None = None,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    channels: int | None = None,
) -> Examples:
    """Open one split of a source. Images are read later, when they are needed.

    | source | what it is | ids, where no column is named |
    |---|---|---|
    | `"folder/"` | a folder for each class, or `metadata.csv`; parquet files | paths; `train/0` |
    | `"file.parquet"`, `"part-*.parquet"` | one table | `file/0`; `train/0` |
    | `"embedded:digits"`, `"embedded:mnist"` | what an installed package brings | `digits/0` |
    | `"cifar10"` | in `MENTEE_DATA`, else the hub's `uoft-cs/cifar10` | `train/0` |
    | `"hub:owner/name"`, `"hub:owner/name:configuration"` | of the Hugging Face hub | `train/0` |
    | `datasets.Dataset`, `datasets.DatasetDict` | in memory or mapped | `train/0` |
    | `{"image": [n, h, w, c], "label": [n], "id": [n]}` | NumPy or torch, uint8 | `train/0` |

    Args:
        source: see the table.
        split: `train`, `validation`, `test`, or what the source calls it.
        image: the column of the images; None: the usual names.
        label: the column of the labels, or several columns of 0/1 for several classes at once.
        id: the column of the ids, which must never change; None: see the table.
        classes: the class names in the order wanted, such as another split's; None: the source's.
        limit: take so many examples, balanced over the classes, always the same ones.
        channels: 1 (grey) or 3 (RGB); None: as the first image is.

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
        raise DataError(f"channels {channels}: expected 1 (grey) or 3 (RGB)")
    columns = Columns(image, label, id)
    options = {"columns": columns, "classes": classes, "channels": channels}
    if isinstance(source, (str, Path)):
        examples = _open_named(str(source), split, options)
    elif hasattr(source, "column_names"):
        examples = _open_dataset(source, split, options)
    elif isinstance(source, Mapping):
        _refuse_columns(columns, "arrays")
        examples = open_arrays(source, rows=split, classes=classes, channels=channels)
    else:
        raise DataError(
            f"a source cannot be a {type(source).__name__}; expected a path or name, "
            "a datasets.Dataset, or {'image': ..., 'label': ...}"
        )
    return examples if limit is None else at_most(examples, limit, seed=0)


def _refuse_columns(columns: Columns, what: str) -> None:
    if columns != Columns():
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
    if options["classes"] is not None and tuple(options["classes"]) != examples.classes:
        raise DataError(f"the classes of embedded:{name} are {', '.join(examples.classes or ())}")
    return examples


def _open_path(path: Path, split: str, options: dict[str, Any]) -> Examples:
    if path.is_dir():
        files = find_parquet(path, split)
        if files:
            return open_parquet(files, split=split, rows=split, **options)
        columns = options["columns"]
        rest = {key: options[key] for key in ("classes", "channels")}
        named = {"image": columns.image, "label": columns.label, "id": columns.id}
        return open_folder(path, split=split, **named, **rest)
    files = sorted(Path(file) for file in glob.glob(str(path)))
    if files and all(file.suffix == ".parquet" for file in files):
        return open_parquet(files, split=split, **options)
    if path.is_file():
        raise DataError(f"{path} is no parquet file; expected .parquet, or a folder of images")
    raise DataError(
        f"the source {str(path)!r} does not exist; expected a folder of images, parquet files, "
        f"one of {', '.join(f'embedded:{name}' for name in EMBEDDED)}, cifar10, or "
        f"hub:owner/name for a data set of the hub"
    )
