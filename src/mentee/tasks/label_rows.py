"""Several labels an example: rows of numbers, or lists of names → numbers and what is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, shown
from mentee.tasks.label_cells import ROWS, as_float, holds_rows, is_missing
from mentee.tasks.label_columns import Names, numbers_by_name, sorted_classes


def several_labels(
    values: Any, schema: Names | None, wanted: Names | None, sets: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Names, tuple[str, ...]]:
    """Rows of 0/1, or lists of the classes that apply, as (0/1, what is known, classes, notes).

    A row that is missing is unknown in all classes.

    Raises:
        DataError: a label is unknown or out of range, or rows have different lengths.
    """
    table_like = getattr(values, "ndim", 1) == 2
    named = any(
        _is_name(item, table_like) for row in values if isinstance(row, ROWS) for item in row
    )
    if sets or named:
        return *_from_sets(values, schema, wanted), ()
    table = label_table(values)
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
    shares = int(((table > 0) & (table < 1)).sum())
    notes = (
        f"{shares:,} of {table.size:,} labels are shares between 0 and 1: above ½ is read as yes, "
        "below as no, ½ as unknown",
    )
    return (mask & (table > 0.5)).astype(np.float32), mask, classes, notes if shares else ()


def label_table(values: Any) -> npt.NDArray[np.float32]:
    """Rows of numbers `[n, k]`; NaN where one is unknown: None, NaN, blank or −1.

    Raises:
        DataError: rows have different lengths, or an entry is no number.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        table = values.astype(np.float32)
    else:
        rows = [row if isinstance(row, ROWS) else None for row in values]
        lengths = {len(row) for row in rows if row is not None}
        if len(lengths) > 1:
            raise DataError(
                f"rows of labels have {min(lengths)} to {max(lengths)} numbers; expected one "
                "number (1, 0, or -1 for unknown) for each class in every row"
            )
        for number, (row, value) in enumerate(zip(rows, values, strict=True)):
            if row is None and not is_missing(value) and value != -1:
                raise DataError(
                    f"row {number} has the label {shown(value, 40)}, and others have several; give "
                    "every row a number for each class"
                )
        unknown = [None] * (lengths.pop() if lengths else 0)
        full = [unknown if row is None else row for row in rows]
        cells = [[None if _blank(item) else item for item in row] for row in full]
        table = np.array(
            [[as_float(item, i) for item in row] for i, row in enumerate(cells)], np.float32
        )
    if table.ndim != 2 or not table.shape[1]:
        raise DataError(
            f"labels have shape {list(table.shape)}; expected [n], or [n, k] for k classes"
        )
    table[table == -1] = np.nan
    return table


def _is_name(item: Any, table_like: bool) -> bool:
    """Whether an entry is the name of a class; in an array of two axes `1` is a number."""
    if not isinstance(item, str) or is_missing(item):
        return False
    try:
        return not table_like or math.isnan(float(item))
    except ValueError:
        return True


def _blank(item: Any) -> bool:
    return not isinstance(item, ROWS) and is_missing(item)


def columns_of_numbers(columns: Sequence[Sequence[Any]]) -> list[list[float]]:
    """Several columns of labels as rows of numbers, NaN where one is missing."""
    try:
        return [
            [float("nan") if _blank(cell) else float(cell) for cell in row]
            for row in zip(*columns, strict=True)
        ]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"several label columns must hold 1, 0, or nothing for unknown; {error}"
        ) from error


def are_probabilities(values: Any) -> bool:
    """Whether each row that is known is shares, not only 0 and 1, of one whole."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        between = values.dtype.kind == "f"
    else:
        between = any(isinstance(x, float) for row in values if isinstance(row, ROWS) for x in row)
    if not between:
        return False
    table = label_table(values)
    rows = table[~np.isnan(table).all(1)]
    fractions = ((rows > 0) & (rows < 1)).any()
    return bool(fractions and (rows >= 0).all() and (abs(rows.sum(1) - 1) < 0.02).all())


def _check_columns(names: Names, table: npt.NDArray[Any]) -> None:
    if len(names) != table.shape[1]:
        raise DataError(
            f"{len(names)} class names for rows of {table.shape[1]} labels: "
            "name one class for each column"
        )


def _from_sets(
    values: Any, schema: Names | None, wanted: Names | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Names]:
    rows: list[list[str] | None] = []
    for number, row in enumerate(values):
        if not isinstance(row, ROWS):
            if not is_missing(row):
                raise DataError(f"row {number} has {shown(row, 40)}; expected a list of classes")
            rows.append(None)
            continue
        if any(_blank(item) for item in row):
            raise DataError(f"row {number} names a class that is empty; leave it out of the list")
        rows.append([_set_item(item, schema, number) for item in row])
    names = {item for row in rows if row for item in row}
    classes = wanted or schema or sorted_classes(names)
    table = np.zeros((len(rows), len(classes)), np.float32)
    mask = np.ones(table.shape, np.bool_)
    for number, items in enumerate(rows):
        if items is None:
            mask[number] = False
        else:
            table[number, numbers_by_name(items, classes)] = 1
    return table, mask, classes


def _set_item(item: Any, schema: Names | None, row: int) -> str:
    if not schema or isinstance(item, str):
        return str(item)
    if not 0 <= int(item) < len(schema):
        raise DataError(f"class number {item} of row {row}: {len(schema)} classes have names")
    return schema[int(item)]


def real_values(values: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """`n` numbers, or `n` rows of `k`, as (float32 `[n, k]`, what is known; None: all is).

    A missing number (nothing, None or NaN) is unknown.

    Raises:
        DataError: a number is infinite or none, or rows have different lengths.
    """
    rows: list[Any] = list(values)
    if holds_rows(values):
        k = next(len(row) for row in rows if isinstance(row, ROWS))
        rows = [row if isinstance(row, ROWS) else [row] * k for row in rows]
    else:
        rows = [[value] for value in rows]
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
    numbers = np.nan_to_num(table).astype(np.float32)
    return numbers, ~missing if missing.any() else None


def _number(value: Any, row: int) -> float:
    if _blank(value):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"the target {shown(value, 40)} of row {row} is no number; a regression learns from "
            "numbers (data.task: single for class names)"
        ) from None
