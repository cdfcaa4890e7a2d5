"""One class an example: class numbers or names of any usual form → numbers and names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, first_few, shown, suggest
from mentee.tasks.label_cells import is_missing, numbers_of, whole_number

Names: TypeAlias = tuple[str, ...]

MAX_CLASSES = 1_000_000
"""Class numbers are below it where no names of classes say how many there are."""


def class_numbers(
    values: Any, schema: Names | None, wanted: Names | None
) -> tuple[npt.NDArray[np.int64], Names]:
    """`n` class numbers or names as class numbers, and the classes' names.

    Returns:
        The numbers, −1 where a label is missing: None, NaN, blank or −1.

    Raises:
        DataError: a label is unknown or out of range.
    """
    column = numbers_of(values)
    if column is None:
        return _from_names(values, wanted)
    return _from_numbers(column, schema, wanted)


def _from_names(values: Any, wanted: Names | None) -> tuple[npt.NDArray[np.int64], Names]:
    named = set(wanted or ())
    cells = [None if is_missing(c) or _says_none(c) else c for c in values]
    if named:
        pairs = zip(values, cells, strict=True)
        cells = [v if isinstance(v, str) and v in named else c for v, c in pairs]
    odd = next((row for row, c in enumerate(cells) if not isinstance(c, str | None)), None)
    if odd is not None:
        some = next(name for name in cells if isinstance(name, str))
        raise DataError(
            f"label {shown(cells[odd], 40)} of row {odd} is no name, and others are, such as "
            f"{some!r}; write all labels as names, or all as numbers"
        )
    names = dict.fromkeys(cell for cell in cells if cell is not None)
    if wanted is None and all(whole_number(name) is not None for name in names):
        cells = [None if cell is None else str(whole_number(cell)) for cell in cells]
        names = dict.fromkeys(cell for cell in cells if cell is not None)
    classes = wanted or sorted_classes(names)
    number = dict(zip(names, numbers_by_name(names, classes), strict=True))
    return np.array([-1 if c is None else number[c] for c in cells], np.int64), classes


def _says_none(cell: Any) -> bool:
    return isinstance(cell, str) and cell.strip() == "-1"


def sorted_classes(names: Iterable[str]) -> Names:
    """Names of classes in their order: whole numbers by size, else by letters."""
    numbers = {name: whole_number(name) for name in names}
    if None in numbers.values():
        return tuple(sorted(numbers))
    return tuple(sorted(numbers, key=lambda name: (numbers[name] or 0, name)))


def numbers_by_name(values: Iterable[str], classes: Names) -> list[int]:
    """The number of each name in `classes`, once; 3, 3.0 and ` 3` are one class.

    Raises:
        DataError: names are not among them; the first few in their order.
    """
    number: dict[str | int, int] = {name: index for index, name in enumerate(classes)}
    for index, name in enumerate(classes):
        size = whole_number(name)
        if size is not None:
            number.setdefault(size, index)
    named = {value: value if value in number else whole_number(value) for value in values}
    foreign = sorted(value for value, key in named.items() if key is None or key not in number)
    if foreign:
        several = len(foreign) > 1
        which = f"class{'es' if several else ''} {first_few([*map(repr, foreign)])}"
        raise DataError(
            f"{which} of the source {'are' if several else 'is'} not among the classes: "
            f"{suggest(foreign[0], classes)}; add {'them' if several else 'it'} to `classes`, or "
            f"remove {'their' if several else 'its'} examples"
        )
    return [number[key] for key in named.values() if key is not None]


def _from_numbers(
    column: npt.NDArray[Any], schema: Names | None, wanted: Names | None
) -> tuple[npt.NDArray[np.int64], Names]:
    numbers = _whole_numbers(column)
    if schema is None and wanted and all(whole_number(name) is not None for name in wanted):
        # Names that are numbers are the numbers that are meant, in whatever order.
        used, inverse = np.unique(numbers, return_inverse=True)
        known = used[used != -1]
        of_known = numbers_by_name([str(number) for number in known.tolist()], wanted)
        table = np.full(len(used), -1, np.int64)
        table[used != -1] = of_known
        return table[inverse.reshape(-1)], wanted
    largest = int(numbers.max(initial=-1))
    if not (schema or wanted) and largest >= MAX_CLASSES:
        raise DataError(
            f"label {largest} of row {int(numbers.argmax())} is no class number: without names, "
            f"classes are numbered from 0 and below {MAX_CLASSES:,}; name them in `classes`, or "
            "learn numbers by data.task: regression"
        )
    classes = schema or wanted or tuple(str(i) for i in range(largest + 1))
    outside = np.flatnonzero((numbers < -1) | (numbers >= len(classes)))
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"label {numbers[row]} of row {row} (and {len(outside) - 1} others) is out of range: "
            f"{len(classes)} classes are numbered 0 to {len(classes) - 1}, and -1 or nothing is "
            "unlabeled; mend the labels, or name all `classes`"
        )
    if schema and wanted and schema != wanted:
        names = [schema[number] for number in np.unique(numbers).tolist() if number >= 0]
        number_of = dict(zip(names, numbers_by_name(names, wanted), strict=True))
        # The last entry is for -1, which stays.
        table = np.array([*(number_of.get(name, -1) for name in schema), -1], np.int64)
        return table[numbers], wanted
    return numbers, classes


def _whole_numbers(column: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """`n` whole numbers, −1 where one is missing."""
    if column.dtype.kind == "f":
        column = np.where(np.isnan(column), -1, column)
    if column.dtype.kind != "b":
        with np.errstate(invalid="ignore"):  # of infinity
            odd = np.flatnonzero((column % 1 != 0) | (column >= 2**63) | (column < -(2**63)))
        if len(odd):
            row = int(odd[0])
            raise DataError(f"label {column[row]} of row {row} is not a whole class number")
    return column.astype(np.int64)
