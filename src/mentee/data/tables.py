"""Tables read through the `datasets` library: parquet files, hub names, `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee.data.examples import Examples, make_examples, read_files, row_ids
from mentee.data.local_files import check_regular
from mentee.data.modality import TEXT, Modality
from mentee.data.payload import ColumnFiles
from mentee.data.source_options import SourceOptions
from mentee.data.split_names import refuse_other_split
from mentee.data.text_tables import ID, LABEL_NAMES, named_ids, several_columns
from mentee.errors import DataError, suggest
from mentee.tasks import Labels, read_labels


def open_table(
    dataset: Any, *, name: str, rows: str, options: SourceOptions, roots: Sequence[Path] = ()
) -> Examples:
    """Read one `datasets.Dataset`.

    Images are `datasets.Image`, audio `datasets.Audio`, either as bytes of encoded files too. Files
    that the table names by their paths are in `roots`; none: they may be anywhere.

    Raises:
        DataError: a column is missing, or holds something else than it should.
    """
    if not len(dataset):
        raise DataError(f"{name} is empty: give it at least one example")
    table = dataset.with_format(None)
    modality, column = _content(table, options, name)
    id_column = options.id
    if id_column is None and modality is TEXT and ID in table.column_names:
        id_column = ID
    ids = row_ids(rows, len(table))
    if id_column:
        ids = named_ids(list(table[_known(table, id_column, name)]), id_column, name)
    reading = options.reading(name)
    labels = _labels(table, options, name)
    if modality.suffixes:
        outside = options.outside or not roots
        files = ColumnFiles(_encoded(table, column, name), column, roots, outside=outside)
        return read_files(modality, files, ids, labels, reading)
    contents = modality.read_arrays(list(table[column]), ids, reading)
    return make_examples(contents, ids, labels, modality=modality, name=name)


def _known(dataset: Any, column: str, name: str) -> str:
    if column not in dataset.column_names:
        hint = suggest(column, dataset.column_names)
        raise DataError(f"{name} has no column {column!r}: {hint}")
    return column


def _content(dataset: Any, options: SourceOptions, name: str) -> tuple[Modality, str]:
    modalities: Mapping[str, Modality] = options.modalities
    if options.kind is not None:
        modalities = {options.kind: modalities[options.kind]}
        if options.content is not None:
            return modalities[options.kind], _known(dataset, options.content, name)
    typed = [
        (modality, str(column))
        for column, feature in dataset.features.items()
        for modality in modalities.values()
        if type(feature).__name__ == modality.feature  # datasets.Image, datasets.Audio
    ]
    if len(typed) == 1:
        return typed[0]
    for modality in modalities.values():
        for column in modality.columns:
            if column in dataset.column_names:
                return modality, column
    candidates = ", ".join([column for _, column in typed] or dataset.column_names)
    ways = " or ".join(f"`{kind}`" for kind in modalities)
    raise DataError(
        f"it is not clear which column of {name} holds the examples: "
        f"name one of {candidates} as {ways}"
    )


def _encoded(dataset: Any, column: str, name: str) -> Any:
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
    return table


def _labels(dataset: Any, options: SourceOptions, name: str) -> Labels:
    label, classes, task = options.label, options.classes, options.task
    if not isinstance(label, str | None):
        return several_columns(options, lambda c: list(dataset[_known(dataset, c, name)]), name)
    column = _label_column(dataset, label, name)
    if column is None:
        return Labels()
    feature = dataset.features[column]
    items = getattr(feature, "feature", None)
    names = getattr(feature, "names", None) or getattr(items, "names", None)
    sets = getattr(items, "names", None) is not None
    values = list(dataset[column])
    return read_labels(values, names=names, classes=classes, sets=sets, task=task, source=name)


def _label_column(dataset: Any, label: str | None, name: str) -> str | None:
    from datasets import ClassLabel

    if label is not None:
        return _known(dataset, label, name)
    for usual in LABEL_NAMES:
        if usual in dataset.column_names:
            return usual
    typed = [c for c, feature in dataset.features.items() if isinstance(feature, ClassLabel)]
    if len(typed) > 1:
        raise DataError(
            f"{name} has several columns of classes ({', '.join(typed)}): name one as `label`"
        )
    return typed[0] if typed else None


def open_parquet(
    files: Sequence[Path], *, split: str, rows: str = "", options: SourceOptions
) -> Examples:
    """Read parquet files as one table.

    Raises:
        DataError: a file cannot be read, or is not the split asked for.
    """
    from datasets import Dataset

    for file in files:
        refuse_other_split(file, split)
        check_regular(file)
    name = f"{files[0]}" if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    try:
        dataset = Dataset.from_parquet([str(file) for file in files])
    except Exception as error:  # datasets wraps whatever the reader raised
        reason = error.__cause__ or error
        raise DataError(f"{name} cannot be read as parquet ({reason}); write it again") from error
    rows = rows or (files[0].stem if len(files) == 1 else split)
    roots = [files[0].parent]
    return open_table(dataset, name=name, rows=rows, options=options, roots=roots)


def open_hub(name: str, *, split: str, options: SourceOptions) -> Examples:
    """Read a data set of the Hugging Face hub, from its cache where it has been read before.

    Raises:
        DataError: there is no such data set or split, or no network.
    """
    from datasets import config, load_dataset

    path, _, configuration = name.partition(":")
    try:
        dataset = load_dataset(path, configuration or None, split=split)
    except Exception as error:  # network, hub and builder errors have no common class
        raise DataError(
            f"the hub data set {name!r} [{split}] cannot be loaded ({error}); check its name and "
            "split; without a network, give a folder or parquet files instead"
        ) from error
    roots = [Path(config.HF_DATASETS_CACHE), Path(config.HF_CACHE_HOME)]  # what it downloads
    return open_table(dataset, name=f"{name} [{split}]", rows=split, options=options, roots=roots)
