"""A source, as a recipe or a notebook names it → its examples."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mentee.data.arrays import CIFAR10_HUB, EMBEDDED, find_cifar10, open_arrays, open_embedded
from mentee.data.examples import Examples
from mentee.data.folders import open_folder
from mentee.data.local_files import refuse_outside
from mentee.data.modality import MODALITIES, Modality, find_modality
from mentee.data.source_options import LabelColumns, SourceOptions
from mentee.data.split_names import aliases, tables_in, tables_of
from mentee.data.splits import limit as at_most
from mentee.data.tables import open_hub, open_parquet, open_table
from mentee.data.tar_shards import PREFIX, open_tars
from mentee.data.text_tables import PLAIN, open_texts, text_tables
from mentee.errors import DataError, suggest
from mentee.files import usable
from mentee.tasks import Task, find_task, read_labels


def open_examples(
    source: Any,
    *,
    split: str = "train",
    kind: str | None = None,
    image: str | None = None,
    audio: str | None = None,
    text: str | None = None,
    label: LabelColumns = None,
    id: str | None = None,
    classes: Sequence[str] | None = None,
    task: str | Task | None = None,
    limit: int | None = None,
    channels: int | None = None,
    sample_rate: int = 16_000,
    bits: int | None = None,
    background: str = "white",
    unreadable: str = "error",
    outside: bool = False,
    modalities: Mapping[str, Modality] = MODALITIES,
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
    | `"webdataset:train-{000..127}.tar"` | tar files, also by URL (`s3://`) | keys in them |
    | `datasets.Dataset`, `datasets.DatasetDict` | in memory or mapped | `train/0` |
    | `Examples` | opened before | as they are |
    | `{"image": [n, h, w, c], "label": [n], "id": [n]}` | NumPy or torch, uint8 | `train/0` |
    | `{"audio": [n, samples], "sample_rate": 16000, ...}` | floating point or int16 | `train/0` |
    | `{"text": [n], ...}` | texts | `train/0` |
    | `{"train": ..., "test": ...}` | of each split one of the five above | as there |

    Examples, a `datasets.Dataset` and arrays have no splits: they are the split that is asked for.

    A table of texts that has a column `id` has its ids there. What a source holds is known by
    `kind`, else by which of `image`, `audio` and `text` names a column, else by the columns' types
    and names, or by how the names of the files in a folder end.

    Args:
        source: see the table.
        split: `train`, `validation`, `test`, or what the source calls it.
        kind: `image`, `audio` or `text`; None: found out.
        image: the column of the images, or their file names; None: the usual names.
        audio: the same of audio clips.
        text: the column of the texts; None: `text`.
        label: the column of the labels, or several columns: of 0/1 for several classes at once, or
            of real values; False: there are none, or they are not to be read.
        id: the column of the ids, which must never change; None: see the table.
        classes: the class names in the order wanted, such as another split's; None: the source's.
        task: what the labels are for: `single`, `multi`, `regression` or a `Task`; None: told by
            the labels, see `mentee.tasks.read_labels`.
        limit: take so many examples, balanced over the classes, always the same ones.
        channels: 1 (gray) or 3 (RGB); None: RGB where an image of a sample is in color.
        sample_rate: samples a second to read audio at.
        bits: of which 16-bit images make use, 8 to 16, and of which the upper 8 are read; None: of
            8, 10, 12, 14 and 16 the fewest that a sample of them needs.
        background: `white` or `black`, behind the transparent parts of images.
        unreadable: what is done about images and clips that cannot be decoded: `error`, or `skip`
            to leave them out; then all are read once to know which.
        outside: files outside of the folder may be read, to which links, `../` or absolute paths
            in `metadata.csv` or paths in a parquet file lead.
        modalities: the kinds of input that there are, by name; your own among them.

    Returns:
        The split.

    Raises:
        DataError: the source cannot be read, or does not hold what was asked for.

    Example:
        >>> digits = open_examples("embedded:digits", limit=100)
        >>> len(digits), digits.task.name, digits.classes[:3]
        (100, 'single', ('0', '1', '2'))
    """
    kind_of_column, content = _content({"image": image, "audio": audio, "text": text}, kind)
    task = find_task(task) if isinstance(task, str) else task
    options = SourceOptions(
        kind=kind_of_column,
        content=content,
        label=label,
        id=id,
        classes=classes,
        channels=channels,
        sample_rate=sample_rate,
        modalities=modalities,
        task=task,
        bits=bits,
        background=background,
        unreadable=unreadable,
        outside=outside,
    )
    if has_splits(source):
        source = _of_split(source, split)
    is_opened = isinstance(source, Examples)
    if options.kind is not None and not is_opened:
        find_modality(options.kind, modalities)
    if is_opened:
        examples = _open_opened(source, options)
    elif isinstance(source, (str, Path)):
        examples = _open_named(str(source), split, options)
    elif hasattr(source, "column_names"):
        if not hasattr(source, "__len__"):
            raise DataError(
                f"an {type(source).__name__} is read in one order only and has no length; expected "
                "a datasets.Dataset: load it without streaming"
            )
        name = f"the Dataset [{split}]"
        examples = open_table(source, name=name, rows=split, options=options)
    elif isinstance(source, Mapping):
        examples = _open_arrays(source, split, options)
    else:
        raise DataError(
            f"a source cannot be a {type(source).__name__}; expected a path or name, "
            "a datasets.Dataset, or {'image': ..., 'label': ...}"
        )
    if kind is not None and examples.kind != kind:
        raise DataError(f"{examples.name} holds {examples.kind}, not {kind}: leave `kind` out")
    if channels == 3 and "channels" not in examples.modality.network_args:
        raise DataError(f"channels 3: {examples.name} holds {examples.kind}; leave `channels` out")
    return examples if limit is None else at_most(examples, limit, seed=0)


def _content(columns: Mapping[str, str | None], kind: str | None) -> tuple[str | None, str | None]:
    """The modality asked for, and the column that holds its examples, where one is named."""
    named = {key: column for key, column in columns.items() if column is not None}
    if len(named) > 1 or (kind and named and kind not in named):
        raise DataError(
            f"the column of {' and of '.join(named)} is named for a source of "
            f"{kind or 'one kind'}: name the one that is to be learned from"
        )
    return kind or next(iter(named), None), next(iter(named.values()), None)


def _refuse_columns(options: SourceOptions, what: str) -> None:
    if options.names_columns:
        raise DataError(f"{what} have no columns to name: leave out image, label and id")


def has_splits(source: Any) -> bool:
    """Whether data passed from Python are a mapping of splits, as a `datasets.DatasetDict` is."""
    return (
        isinstance(source, Mapping)
        and bool(source)
        and all(
            isinstance(each, (Examples, Mapping)) or hasattr(each, "column_names")
            for each in source.values()
        )
    )


def require_splits(data: Any, split: str) -> None:
    """Refuse data passed from Python that have no splits as one more split than they are."""
    if not isinstance(data, (str, Path)) and not has_splits(data):
        raise DataError(
            f"the data passed have no splits, so there is no split {split!r} in them; pass a "
            f"mapping of splits, {{'train': ..., {split!r}: ...}} or a datasets.DatasetDict, or "
            "set data.test to null and score the student on other data with Run.evaluate(data=...)"
        )


def own_task(data: Any, split: str) -> Task | None:
    """The task that data passed from Python bring along; None: they name one, or none."""
    if has_splits(data):
        data = data.get(split)
    if isinstance(data, Mapping):
        data = data.get("task")
    task = data.task if isinstance(data, Examples) else data
    return task if isinstance(task, Task) else None


def _open_opened(examples: Examples, options: SourceOptions) -> Examples:
    _refuse_columns(options, f"{examples.name} are opened already and")
    rate = examples.contents.sample_rate
    if rate not in (None, options.sample_rate):
        raise DataError(
            f"{examples.name} were opened at {rate} samples a second, not {options.sample_rate}: "
            "open them again with this sample_rate"
        )
    return _with_classes(examples, options)


def _of_split(source: Mapping[str, Any], split: str) -> Any:
    for name in aliases(split):
        if name in source:
            return source[name]
    raise DataError(f"the data passed have no split {split!r}: {suggest(split, source)}")


def _with_classes(examples: Examples, options: SourceOptions) -> Examples:
    """The examples as their task reads the labels; without any where none are to be read."""
    task = options.task
    if options.label is False:
        return examples.unlabeled()
    if task is not None and task.name == examples.task.name:
        examples = replace(examples, task=task)
    elif task is not None and examples.labels is not None:
        values: Any = examples.labels
        if examples.mask is not None:
            values = np.where(examples.mask, values, np.nan)
        labels = read_labels(values, classes=options.classes, task=task, source=examples.name)
        return replace(
            examples,
            labels=labels.values,
            mask=labels.mask,
            classes=labels.classes,
            task=task,
            labeled=labels.known,
        )
    if options.classes is not None and tuple(options.classes) != examples.classes:
        known = ", ".join(examples.classes or ("none",))
        raise DataError(f"the classes of {examples.name} are {known}")
    return examples


def _open_arrays(source: Mapping[str, Any], split: str, options: SourceOptions) -> Examples:
    _refuse_columns(options, "arrays")
    return open_arrays(
        {key: x for key, x in source.items() if key != "label" or options.label is not False},
        rows=split,
        classes=options.classes,
        task=options.task,
        channels=options.channels,
        sample_rate=options.sample_rate,
        modalities=options.modalities,
    )


def _open_named(source: str, split: str, options: SourceOptions) -> Examples:
    scheme, colon, name = source.partition(":")
    if colon and scheme == PREFIX:
        return open_tars(name, split=split, options=options)
    if colon and scheme in ("embedded", "hub"):
        embedded = scheme == "embedded"
        return (_open_embedded if embedded else open_hub)(name, split=split, options=options)
    path = usable(source).expanduser()
    if source == "cifar10" and not path.exists():
        folder = find_cifar10()
        return _open_path(folder, split, options) if folder else _cifar10_hub(split, options)
    return _open_path(path, split, options)


def _cifar10_hub(split: str, options: SourceOptions) -> Examples:
    try:
        return open_hub(CIFAR10_HUB, split=split, options=options)
    except DataError as error:
        raise DataError(
            f"cifar10 is not in the folder that the environment variable MENTEE_DATA names "
            f"(expected cifar10/train.parquet and test.parquet there), and {error}"
        ) from error


def _open_embedded(name: str, *, split: str, options: SourceOptions) -> Examples:
    _refuse_columns(options, f"embedded:{name} does")
    examples = open_embedded(name, split=split, channels=options.channels)
    return _with_classes(examples, options)


def _open_path(path: Path, split: str, options: SourceOptions) -> Examples:
    if path.is_dir():
        parquet = tables_in(path, (".parquet",))
        if parquet:
            refuse_outside(path, parquet, outside=options.outside)
            files = tables_of(split, parquet, what="parquet files")
            return open_parquet(files, split=split, rows=split, options=options)
        plain = text_tables(path, options.kind, outside=options.outside)
        if plain:
            files = tables_of(split, plain, what="tables of texts")
            return open_texts(files, split=split, rows=split, options=options)
        return open_folder(path, split=split, options=options)
    files = sorted(Path(file) for file in glob.glob(str(path)))
    if files and all(file.suffix.lower() == ".parquet" for file in files):
        return open_parquet(files, split=split, options=options)
    if files and all(file.suffix.lower() in PLAIN for file in files):
        return open_texts(files, split=split, options=options)
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
