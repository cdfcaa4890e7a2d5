"""Entries of vectors that give the answer away, or tell nothing: labels, row numbers, constants."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data import Examples
from mentee.errors import DataError

Array = npt.NDArray[Any]
_SAMPLE = 64  # vectors that a first look takes
_COUNTED = 5  # rows from which on a row number is no chance
_CERTAIN = 16  # bits: one entry of 2¹⁶ is a label by chance


def refuse_leaks(
    vectors: Array,
    order: npt.NDArray[np.int64],
    examples: Examples,
    path: Path,
    names: Sequence[str],
) -> None:
    """Refuse vectors of which an entry is the label or the row number, or that are all the same.

    `order` has the row of each of `n` examples in `vectors`, `[m, ...]`; `names` are of the
    entries, which else are told by their numbers.

    Memory: O(n), and O(64 d).
    """
    some = np.unique(np.linspace(0, len(order) - 1, min(len(order), _SAMPLE)).astype(np.int64))
    width = math.prod(vectors.shape[1:])
    first = vectors[order[some]].reshape(len(some), width).astype(np.float64)

    def entry(number: int, rows: Array = order) -> Array:
        place = np.unravel_index(number, vectors.shape[1:])
        return np.asarray(vectors[(rows, *place)], np.float64)

    def refuse(number: int, what: str) -> None:
        name = f"column {names[number]!r}" if len(names) == width else f"entry {number}"
        raise DataError(
            f"{path}: {name} is {what}, which no teacher knows; take it out, or name the columns "
            "of the vectors (--columns 'emb_*')"
        )

    same = len(order) > 1 and bool((first == first[0]).all())
    if same and all((entry(number) == first[0, number]).all() for number in range(width)):
        raise DataError(f"{path} has the same vector for all {len(order):,} examples")
    if len(order) >= _COUNTED:
        for position in (order, np.arange(len(order))):
            steps = (position - position[0]).astype(np.float64)
            for number in np.flatnonzero((first == first[0] + steps[some, None]).all(axis=0)):
                values = entry(int(number))
                if (values == values[0] + steps).all():
                    refuse(int(number), "the row number")
    whole = np.flatnonzero((first == np.floor(first)).all(axis=0) & (first != first[0]).any(axis=0))
    for what, known, target in _targets(examples):
        enough = len(known) >= _CERTAIN + math.log2(width)
        looked = np.isin(some, known)
        values = target[np.searchsorted(known, some[looked])]
        equal = np.flatnonzero((first[looked] == values[:, None]).all(axis=0))
        for number in np.union1d(whole, equal) if enough else ():
            if _tells(first[looked, number], values) and _tells(
                entry(int(number), order[known]), target
            ):
                refuse(int(number), what)


def _targets(examples: Examples) -> Iterator[tuple[str, npt.NDArray[np.int64], Array]]:
    """What a label is called, the examples that have it, and its values, that differ."""
    labels = examples.labels
    if labels is None:
        return
    there = np.ones(len(examples), np.bool_) if examples.labeled is None else examples.labeled
    table: Array = labels.reshape(len(labels), -1)
    for number in range(table.shape[1]):
        column: Array = table[:, number]
        known = there & (column >= 0 if column.dtype.kind == "i" else np.isfinite(column))
        if labels.ndim == 2 and examples.mask is not None:
            known = known & examples.mask[:, number]
        rows = np.flatnonzero(known)
        if len(rows) and (column[rows] != column[rows[0]]).any():
            names = (examples.classes or ()) if labels.ndim == 2 else ()
            name = f"the label {names[number]!r}" if number < len(names) else "the label"
            yield name, rows, column[rows]


def _tells(values: Array, target: Array) -> bool:
    """Whether values are a target, or whole numbers that stand for its values one for one."""
    if np.array_equal(values, target):
        return True
    a, b = (np.unique(each, return_inverse=True) for each in (values, target))
    pairs = len(np.unique(a[1] * len(b[0]) + b[1]))
    return pairs == len(a[0]) == len(b[0]) and 2 * pairs <= len(values)
