"""Label columns of any usual form → class numbers, 0/1 for several classes, or real values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, suggest

Names: TypeAlias = tuple[str, ...]


def holds_rows(values: Any) -> bool:
    """Whether a column has several labels an example: a list or an array of them."""
    return len(values) > 0 and isinstance(values[0], (list, tuple, np.ndarray))


def class_numbers(
    values: Any, schema: Names | None, wanted: Names | None
) -> tuple[npt.NDArray[np.int64], Names]:
    """`n` class numbers or names as class numbers, and the classes' names.

    Raises:
        DataError: a label is missing, unknown or out of range.
    """
    if any(isinstance(value, str) for value in values):
        return _from_names(list(values), wanted)
    return _from_numbers(values, schema, wanted)


def several_labels(
    values: Any, schema: Names | None, wanted: Names | None, sets: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Names]:
    """Rows of 0/1, or lists of the classes that apply, as (0/1, what is known, classes).

    Raises:
        DataError: a label is unknown or out of range, or rows have different lengths.
    """
    if sets or any(isinstance(item, str) for row in values for item in row):
        return _from_sets(values, schema, wanted)
    table = _table(values)
    table[table == -1] = np.nan
    mask = ~np.isnan(table) & (table != 0.5)
    wrong = np.argwhere(mask & ~((table >= 0) & (table <= 1)))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise DataError(
            f"label {table[row, column]:g} of row {row}, class {column} is out of range; "
            "expected 1 (yes), 0 (no), a share between, or -1 or NaN (unknown); real values are "
            "learned by data.task: regression"
        )
    classes = wanted or schema or tuple(str(i) for i in range(table.shape[1]))
    _check_columns(classes, table)
    return (mask & (table > 0.5)).astype(np.float32), mask, classes


def _from_names(values: list[Any], wanted: Names | None) -> tuple[npt.NDArray[np.int64], Names]:
    for row, value in enumerate(values):
        if not isinstance(value, str) or not value:
            raise DataError(_no_label(row, value))
    classes = wanted or tuple(sorted(set(values)))
    return np.array(_numbers(values, classes), np.int64), classes


def _numbers(values: Sequence[str], classes: Names) -> list[int]:
    number = {name: index for index, name in enumerate(classes)}
    for value in dict.fromkeys(values):
        if value not in number:
            raise DataError(
                f"class {value!r} of the source is not among the classes: "
                f"{suggest(value, classes)}; add it to `classes`, or remove its examples"
            )
    return [number[value] for value in values]


def _from_numbers(
    values: Any, schema: Names | None, wanted: Names | None
) -> tuple[npt.NDArray[np.int64], Names]:
    numbers = _whole_numbers(values)
    classes = schema or wanted or tuple(str(i) for i in range(int(numbers.max(initial=-1)) + 1))
    outside = np.flatnonzero((numbers < 0) | (numbers >= len(classes)))
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"label {numbers[row]} of row {row} (and {len(outside) - 1} others) is out of range: "
            f"{len(classes)} classes are numbered 0 to {len(classes) - 1}; "
            "mend the labels, leave unlabeled examples out, or name all `classes`"
        )
    if schema and wanted and schema != wanted:
        used = {schema[number] for number in np.unique(numbers)}
        number_of = dict(zip(sorted(used), _numbers(sorted(used), wanted), strict=True))
        table = np.array([number_of.get(name, -1) for name in schema], np.int64)
        return table[numbers], wanted
    return numbers, classes


def _whole_numbers(values: Any) -> npt.NDArray[np.int64]:
    column = np.asarray(values)
    if column.dtype == object or (column.dtype.kind == "f" and np.isnan(column).any()):
        row = next(i for i, value in enumerate(column) if value is None or value != value)
        raise DataError(_no_label(row, column[row]))
    if column.dtype.kind not in "biuf":
        raise DataError(f"labels must be class numbers or class names, not {column.dtype}")
    numbers = column.astype(np.int64)
    if column.dtype.kind == "f" and (numbers != column).any():
        row = int(np.flatnonzero(numbers != column)[0])
        raise DataError(f"label {column[row]} of row {row} is not a whole class number")
    return numbers


def _no_label(row: int, value: object) -> str:
    return f"row {row} has no label (it says {value!r}); label it, or leave the example out"


def _table(values: Any) -> npt.NDArray[np.float32]:
    """Rows of numbers, None as NaN."""
    lengths = {len(row) for row in values}
    if len(lengths) > 1:
        raise DataError(
            f"rows of labels have {min(lengths)} to {max(lengths)} numbers; expected one number "
            "(1, 0, or -1 for unknown) for each class in every row"
        )
    return np.array(
        [[np.nan if item is None else item for item in row] for row in values], np.float32
    )


def _check_columns(names: Names, table: npt.NDArray[Any]) -> None:
    if len(names) != table.shape[1]:
        raise DataError(
            f"{len(names)} class names for rows of {table.shape[1]} labels: "
            "name one class for each column"
        )


def _from_sets(
    values: Any, schema: Names | None, wanted: Names | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Names]:
    rows = [[schema[item] if schema else str(item) for item in row] for row in values]
    classes = wanted or schema or tuple(sorted({item for row in rows for item in row}))
    table = np.zeros((len(rows), len(classes)), np.float32)
    for row, items in enumerate(rows):
        table[row, _numbers(items, classes)] = 1
    return table, np.ones(table.shape, np.bool_), classes


def real_values(values: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """`n` numbers, or `n` rows of `k`, as (float32 `[n, k]`, what is known; None: all is).

    A missing number (nothing, None or NaN) is refused where there is one a row, and unknown where
    there are several.

    Raises:
        DataError: a number is missing, infinite or none, or rows have different lengths.
    """
    several = holds_rows(values)
    rows = list(values) if several else [[value] for value in values]
    if len({len(row) for row in rows}) > 1:
        lengths = sorted({len(row) for row in rows})
        raise DataError(
            f"rows of targets have {lengths[0]} to {lengths[-1]} numbers; expected one number for "
            "each target in every row (NaN: unknown)"
        )
    table = np.array([[_number(v, i) for v in row] for i, row in enumerate(rows)], np.float64)
    table = table.reshape(len(rows), -1)
    infinite = np.argwhere(np.isinf(table) | (np.abs(table) > np.finfo(np.float32).max))
    if len(infinite):
        row, column = infinite[0].tolist()
        raise DataError(
            f"the target {table[row, column]:g} of row {row} is not finite; mend it, or leave the "
            "example out"
        )
    missing = np.isnan(table)
    if missing.any() and not several:
        row = int(np.flatnonzero(missing[:, 0])[0])
        raise DataError(
            f"row {row} has no target (it is {values[row]!r}); give it one, or leave the example "
            "out"
        )
    numbers = np.nan_to_num(table).astype(np.float32)
    return numbers, ~missing if missing.any() else None


def _number(value: Any, row: int) -> float:
    if value is None or (isinstance(value, str) and not value.strip()):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(
            f"the target {value!r} of row {row} is no number; a regression learns from numbers "
            "(data.task: single for class names)"
        ) from None
