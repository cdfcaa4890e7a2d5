"""A user's own table of vectors: which columns are the vector, and what their cells hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from mentee.errors import DataError, suggest
from mentee.records.vector_files import Array, VectorFile, VectorNames, as_ids, check_memory

NO_VECTOR = (
    *("label", "labels", "target", "targets", "class", "classes", "category", "digit", "y"),
    *("split", "fold", "index", "idx", "row"),
)
"""Columns of numbers that many tables have besides those of the vectors."""
_UNNAMED = re.compile(r"(unnamed: ?\d+|__index_level_\d+__)?$", re.IGNORECASE)  # pandas' index


def read_parquet(path: Path, options: VectorNames) -> VectorFile:
    """Vectors of a parquet file."""
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    about = file.metadata  # a page of equal numbers takes next to nothing on disk
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    cells = sum(each.column(i).num_values for each in groups for i in range(each.num_columns))
    check_memory(path, 8 * cells)
    return _from_table(path, file.read(), options)


def read_csv(path: Path, options: VectorNames) -> VectorFile:
    """Vectors of a CSV file."""
    import pyarrow
    from pyarrow import csv

    check_memory(path, path.stat().st_size)
    # As text, or 007 would become 7.
    types = csv.ConvertOptions(column_types={options.id: pyarrow.string()})
    return _from_table(path, csv.read_csv(path, convert_options=types), options)


def _from_table(path: Path, table: Any, options: VectorNames) -> VectorFile:
    ids = None
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise DataError(f"{path} has several columns {twice[0]!r}; give each a name of its own")
    if options.id in table.column_names:
        ids = as_ids(table[options.id].to_pylist(), f"column {options.id!r} of {path}")
    elif options.ids is None:
        hint = suggest(options.id, table.column_names)
        raise DataError(f"{path} has no column {options.id!r} of ids: {hint}; name it: --id NAME")
    names = _columns(path, table, options)
    arrays = [
        _numbers(table[name].combine_chunks(), f"column {name!r} of {path}") for name in names
    ]
    if len(arrays) == 1 and arrays[0].ndim > 1:
        return VectorFile(arrays[0], ids, tuple(names))
    wide = next((name for name, x in zip(names, arrays, strict=True) if x.ndim > 1), None)
    if wide is not None:
        raise DataError(f"column {wide!r} of {path} holds lists: name it alone, --columns {wide}")
    return VectorFile(np.stack(arrays, axis=1), ids, tuple(names))


def _columns(path: Path, table: Any, options: VectorNames) -> list[str]:
    names = [name for name in table.column_names if name != options.id]
    if options.columns is None:
        lists = [name for name in names if _is_list(table.schema.field(name).type)]
        chosen = lists if len(lists) == 1 else names
        others = [x for x in chosen if x.strip().lower() in NO_VECTOR or _UNNAMED.match(x.strip())]
        if others:
            raise DataError(
                f"{path} has columns that are hardly entries of a vector: "
                f"{', '.join(map(repr, others))}; name those that are: --columns 'emb_*'"
            )
    else:
        columns = options.columns
        patterns = [columns] if isinstance(columns, str) else list(columns)
        chosen = []
        for pattern in patterns:
            matches = [name for name in names if fnmatchcase(name, pattern)]
            if not matches:
                raise DataError(f"{path} has no column {pattern!r}: {suggest(pattern, names)}")
            chosen += [name for name in matches if name not in chosen]
    if not chosen:
        raise DataError(f"{path} has no columns of numbers beside {options.id!r}")
    return chosen


def _is_list(type: Any) -> bool:
    from pyarrow import types

    tests: list[Callable[[Any], bool]] = [
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
    ]
    return any(test(type) for test in tests)


def _numbers(column: Any, where: str) -> Array:
    """A column as `[m]`, or lists of one length as `[m, d]`, lists of lists as `[m, t, d]`."""
    from pyarrow import compute, types

    if column.null_count:
        row = compute.index(compute.is_null(column), True).as_py()
        raise DataError(f"{where} is empty in row {row}: expected numbers everywhere")
    if _is_list(column.type):
        lengths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
        other = np.flatnonzero(lengths != lengths[:1])
        if len(other):
            raise DataError(
                f"{where} has {lengths[0]} entries in row 0 and {lengths[other[0]]} in row "
                f"{other[0]}: expected as many everywhere"
            )
        inner = _numbers(column.flatten(), where)
        return inner.reshape(len(column), -1, *inner.shape[1:])
    if types.is_integer(column.type) or types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    values = column.to_pylist()
    row = next((row for row, value in enumerate(values) if not _is_number(value)), 0)
    raise DataError(
        f"{where} is {column.type}, row {row} is {values[row]!r}: expected numbers; name "
        "the columns that are the vector: --columns 'emb_*'"
    )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
