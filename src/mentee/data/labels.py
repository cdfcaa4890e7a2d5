"""Label columns of any usual form → class numbers, or 0/1 for several classes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, suggest


@dataclass(frozen=True)
class Labels:
    """What is known of the examples' classes.

    Attributes:
        values: `[n]` int64 class numbers, or `[n, k]` float32 0/1, or None: no labels.
        mask: `[n, k]`, true where a label of several is known; None for one class an example.
        classes: the `k` names, in the order of the numbers; None without labels.
    """

    values: npt.NDArray[np.int64] | npt.NDArray[np.float32] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    classes: tuple[str, ...] | None = None


def read_labels(
    values: Any,
    *,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    sets: bool = False,
) -> Labels:
    """Read one column of labels.

    Args:
        values: `n` class numbers, or `n` class names, or `n` rows of `k` numbers (1 yes, 0 no,
            -1 or NaN unknown; of a share between, above ½ is yes, below ½ no, ½ itself unknown,
            as OpenMIC-2018 has it), or `n` lists of the class names or numbers that apply.
        names: the class names as the source's schema gives them, in the order of the numbers.
        classes: the class names as the user wants them numbered; None: as in the source, or
            sorted where the source gives names only.
        sets: the rows are lists of class numbers, not 0/1.

    Returns:
        Class numbers where each example has one class, 0/1 and a mask where it may have several.

    Raises:
        DataError: a label is missing, unknown or out of range.
    """
    wanted = None if classes is None else tuple(str(name) for name in classes)
    if wanted is not None and len(set(wanted)) < len(wanted):
        raise DataError(f"a class stands twice in classes: {', '.join(wanted)}")
    schema = None if names is None else tuple(names)
    if len(values) and isinstance(values[0], (list, tuple, np.ndarray)):
        return _several(values, schema, wanted, sets)
    if any(isinstance(value, str) for value in values):
        return _named(list(values), wanted)
    return _numbered(values, schema, wanted)


def _named(values: list[Any], wanted: tuple[str, ...] | None) -> Labels:
    for row, value in enumerate(values):
        if not isinstance(value, str) or not value:
            raise DataError(_no_label(row, value))
    classes = wanted or tuple(sorted(set(values)))
    return Labels(np.array(_numbers(values, classes), np.int64), classes=classes)


def _numbers(values: Sequence[str], classes: tuple[str, ...]) -> list[int]:
    number = {name: index for index, name in enumerate(classes)}
    for value in dict.fromkeys(values):
        if value not in number:
            raise DataError(
                f"class {value!r} of the source is not among the classes: "
                f"{suggest(value, classes)}; add it to `classes`, or remove its examples"
            )
    return [number[value] for value in values]


def _numbered(
    values: Any, schema: tuple[str, ...] | None, wanted: tuple[str, ...] | None
) -> Labels:
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
        place = dict(zip(sorted(used), _numbers(sorted(used), wanted), strict=True))
        table = np.array([place.get(name, -1) for name in schema], np.int64)
        return Labels(table[numbers], classes=wanted)
    return Labels(numbers, classes=classes)


def _whole_numbers(values: Any) -> npt.NDArray[np.int64]:
    given = np.asarray(values)
    if given.dtype == object or (given.dtype.kind == "f" and np.isnan(given).any()):
        row = next(i for i, value in enumerate(given) if value is None or value != value)
        raise DataError(_no_label(row, given[row]))
    if given.dtype.kind not in "biuf":
        raise DataError(f"labels must be class numbers or class names, not {given.dtype}")
    numbers = given.astype(np.int64)
    if given.dtype.kind == "f" and (numbers != given).any():
        row = int(np.flatnonzero(numbers != given)[0])
        raise DataError(f"label {given[row]} of row {row} is not a whole class number")
    return numbers


def _no_label(row: int, value: object) -> str:
    return f"row {row} has no label (it says {value!r}); label it, or leave the example out"


def _several(
    values: Any, schema: tuple[str, ...] | None, wanted: tuple[str, ...] | None, sets: bool
) -> Labels:
    if sets or any(isinstance(item, str) for row in values for item in row):
        return _from_sets(values, schema, wanted)
    lengths = {len(row) for row in values}
    if len(lengths) > 1:
        raise DataError(
            f"rows of labels have {min(lengths)} to {max(lengths)} numbers; expected one number "
            "(1, 0, or -1 for unknown) for each class in every row"
        )
    table = np.array(
        [[np.nan if item is None else item for item in row] for row in values], np.float32
    )
    table[table == -1] = np.nan
    mask = ~np.isnan(table) & (table != 0.5)
    wrong = np.argwhere(mask & ~((table >= 0) & (table <= 1)))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise DataError(
            f"label {table[row, column]:g} of row {row}, class {column} is out of range; "
            "expected 1 (yes), 0 (no), a share between, or -1 or NaN (unknown)"
        )
    classes = wanted or schema or tuple(str(i) for i in range(table.shape[1]))
    if len(classes) != table.shape[1]:
        raise DataError(
            f"{len(classes)} class names for rows of {table.shape[1]} labels: "
            "name one class for each column"
        )
    return Labels((mask & (table > 0.5)).astype(np.float32), mask, classes)


def _from_sets(
    values: Any, schema: tuple[str, ...] | None, wanted: tuple[str, ...] | None
) -> Labels:
    rows = [[schema[item] if schema else str(item) for item in row] for row in values]
    classes = wanted or schema or tuple(sorted({item for row in rows for item in row}))
    table = np.zeros((len(rows), len(classes)), np.float32)
    for row, items in enumerate(rows):
        table[row, _numbers(items, classes)] = 1
    return Labels(table, np.ones(table.shape, np.bool_), classes)
