"""What a cell of a column of labels may be: nothing, a number, a name, a row of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, shown

ROWS = (list, tuple, np.ndarray)
_WHOLE = re.compile(r"\s*([+-]?\d{1,300})(\.0*)?\s*")


def is_missing(cell: object) -> bool:
    """Whether a cell says nothing: None, NaN, blank, or the text `nan`."""
    if isinstance(cell, str):
        return cell.strip().lower() in ("", "nan")
    if isinstance(cell, Number):
        return bool(cell != cell)
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")  # of pandas


def whole_number(text: str) -> int | None:
    """The whole number that a text is, such as ` 3` or `3.0`; None: it is another text."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def holds_rows(values: Any) -> bool:
    """Whether a column has several labels an example: a list or an array of them."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.ndim > 1 and len(values) > 0
    first = next((v for v in values if isinstance(v, ROWS) or not is_missing(v)), None)
    return isinstance(first, ROWS)


def numbers_of(values: Any) -> npt.NDArray[Any] | None:
    """A column of numbers, NaN where one is missing; None: it has texts."""
    column = values if isinstance(values, np.ndarray) else _as_array(values)
    if column.dtype.kind in "biuf":
        return column
    cells = [None if is_missing(cell) else cell for cell in values]
    if any(isinstance(cell, str) for cell in cells):
        return None
    return np.array([as_float(cell, row) for row, cell in enumerate(cells)], np.float64)


def _as_array(values: Sequence[Any]) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:  # rows of unequal lengths, or a row beside a number
        return np.array([None] * len(values), object)


def as_float(cell: Any, row: int) -> float:
    """A cell as a number, None as NaN."""
    try:
        return float("nan") if cell is None else float(cell)
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"label {shown(cell, 40)} of row {row} is neither a class number nor a class name"
        ) from None
