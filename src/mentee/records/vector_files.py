"""A user's own file of vectors, as an array with ids; nothing in it is ever executed."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, suggest

Array = npt.NDArray[Any]
_EMBEDDING, _IDS = "embedding", "ids"
NO_VECTOR = ("label", "labels", "target", "targets", "class", "y", "split", "fold")
"""Columns of numbers that many tables have besides those of the vectors."""
_UNNAMED = re.compile(r"(unnamed: ?\d+|__index_level_\d+__)?$", re.IGNORECASE)  # pandas' index


@dataclass(frozen=True)
class VectorNames:
    """Where in a file the vectors and the ids are.

    Attributes:
        id: the column of ids (tables).
        columns: the column of lists, or the columns of numbers, `emb_*` for all that begin so;
            None: the only list column, else all columns but the ids, which then must have names
            and none that a label has (tables).
        key: the name of the array of vectors; None: `embedding`, or the only one (npz,
            safetensors).
        ids: a second file with one id for each row: .txt (lines), .json (a list) or .npy.
    """

    id: str = "id"
    columns: str | Sequence[str] | None = None
    key: str | None = None
    ids: Path | str | None = None


@dataclass(frozen=True)
class VectorFile:
    """What was read of a file.

    Attributes:
        rows: numbers `[m, d]` or `[m, t, d]`, memory-mapped where the format allows it.
        ids: of the `m` rows; None: the file has none, and no second one was named.
        names: of the array or the columns that the numbers are of; empty: they have none (.npy).
    """

    rows: Array
    ids: list[str] | None
    names: tuple[str, ...] = ()


def read_vectors(path: Path, options: VectorNames) -> VectorFile:
    """Read a file of vectors.

    Args:
        path: .npy, .npz, .safetensors, .parquet or .csv.
        options: where in it the vectors and the ids are.

    Returns:
        The vectors with their ids.

    Raises:
        DataError: no such file, another format, something else than vectors inside, or a second
            file has other ids than the first.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path} is no file of vectors that mentee reads: expected {', '.join(READERS)} "
            "(pickled files are never opened: save the array with numpy.save)"
        )
    try:
        file = read(path, options)
    except DataError:
        raise
    except (OSError, ValueError, zipfile.BadZipFile) as error:  # pyarrow's errors are ValueErrors
        raise DataError(
            f"{path} cannot be read as {path.suffix} ({error}); save it again"
        ) from error
    rows, ids = file.rows, file.ids
    if rows.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {rows.dtype}, expected numbers (float16, float32, float64)")
    if rows.ndim not in (2, 3) or not rows.size:
        raise DataError(
            f"{path} has shape {list(rows.shape)}, expected [n, d], or [n, t, d] for t time frames"
        )
    if options.ids is not None:
        ids = read_ids(Path(options.ids))
    if ids is not None and len(ids) != len(rows):
        raise DataError(
            f"{path} has {len(rows):,} rows and {len(ids):,} ids: expected one for each"
        )
    if file.ids is not None and ids is not None and file.ids != ids:
        pairs = enumerate(zip(file.ids, ids, strict=True))
        row = next(i for i, two in pairs if len(set(two)) > 1)
        raise DataError(
            f"{path} has ids of its own, and they are not those of {options.ids}: row {row} is "
            f"{file.ids[row]!r} there and {ids[row]!r} here; leave out --ids, or take the ids out "
            f"of {path.name}"
        )
    return VectorFile(rows, ids, file.names)


def read_ids(path: Path) -> list[str]:
    """Read a file of ids.

    Args:
        path: .txt (one a line), .json (a list) or .npy (texts or whole numbers).

    Raises:
        DataError: no such file, or something else inside.
    """
    if not path.is_file():
        raise DataError(f"there is no file of ids {path}")
    try:
        if path.suffix == ".npy":
            return as_ids(np.load(path, allow_pickle=False), str(path))
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            return as_ids(json.loads(text), str(path))
    except ValueError as error:
        raise DataError(f"{path} cannot be read as ids ({error}); save it again") from error
    if path.suffix != ".txt":
        raise DataError(f"{path} is no file of ids: expected .txt (one a line), .json or .npy")
    return text.splitlines()


def as_ids(values: Any, where: str) -> list[str]:
    """Ids as texts.

    Args:
        values: a list or an array.
        where: what to call it in messages.

    Raises:
        DataError: they are not texts or whole numbers in a row.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
    if not isinstance(values, list):
        raise DataError(f"the ids of {where} are no list: expected one text for each row")
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise DataError(f"id {row} of {where} is {value!r}: expected a text or a whole number")
    return [str(value) for value in values]


def _read_npy(path: Path, options: VectorNames) -> VectorFile:
    return VectorFile(np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)), None)


def _read_npz(path: Path, options: VectorNames) -> VectorFile:
    with np.load(path, allow_pickle=False) as arrays:
        names = [options.id, _IDS]
        ids = next((as_ids(arrays[n], str(path)) for n in names if n in arrays.files), None)
        name = _array_name(path, arrays.files, options.key, not_these=names)
        return VectorFile(arrays[name], ids, (name,))


def _read_safetensors(path: Path, options: VectorNames) -> VectorFile:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as tensors:
            name = _array_name(path, list(tensors.keys()), options.key)
            tensor = tensors.get_tensor(name)
    except SafetensorError as error:
        raise ValueError(error) from error
    rows = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return VectorFile(rows, None, (name,))


def _array_name(
    path: Path, names: Sequence[str], key: str | None, not_these: Sequence[str] = ()
) -> str:
    wanted = key or _EMBEDDING
    if wanted in names:
        return wanted
    others = [name for name in names if name not in not_these]
    if key is None and len(others) == 1:
        return others[0]
    raise DataError(
        f"{path} has no array {wanted!r}: {suggest(wanted, others)}; name it: --key NAME"
    )


def _read_parquet(path: Path, options: VectorNames) -> VectorFile:
    from pyarrow import parquet

    return _from_table(path, parquet.ParquetFile(path).read(), options)


def _read_csv(path: Path, options: VectorNames) -> VectorFile:
    import pyarrow
    from pyarrow import csv

    # As text, or 007 would become 7.
    types = csv.ConvertOptions(column_types={options.id: pyarrow.string()})
    return _from_table(path, csv.read_csv(path, convert_options=types), options)


def _from_table(path: Path, table: Any, options: VectorNames) -> VectorFile:
    ids = None
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


READERS: dict[str, Callable[[Path, VectorNames], VectorFile]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
}
"""How each kind of file is read, by its ending."""
