"""Which examples of a source cannot be read: all of them are told at once, or left out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, first_few
from mentee.threads import map_in_threads

ERROR, SKIP = "error", "skip"
"""What is done about them: they are refused, or left out."""

INSPECTED = 10_000
"""Of more examples that are not kept in memory, so many evenly spaced ones are read."""

_TOGETHER = 16


class UnreadableError(DataError):
    """A file of a source cannot be read or decoded.

    Attributes:
        reason: why, in short.
    """

    reason = ""

    @classmethod
    def of(cls, what: str, reason: str, remedy: str) -> UnreadableError:
        """The error with its text: `the image 'a.png' cannot be decoded`, why, `replace it`."""
        error = cls(f"{what} ({reason}); {remedy}, or leave it out with data.unreadable: skip")
        error.reason = reason
        return error


@contextmanager
def without_pillow_warnings() -> Iterator[None]:
    """While this lasts, Pillow does not warn of what cannot be read: errors and notes do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def find_unreadable(
    read: Callable[[npt.NDArray[np.int64]], Any], rows: npt.NDArray[np.int64]
) -> dict[int, UnreadableError]:
    """Read some rows of a source once; those that cannot be read, with their errors."""

    def attempt(some: npt.NDArray[np.int64]) -> dict[int, UnreadableError]:
        try:
            read(some)
        except UnreadableError as error:
            if len(some) == 1:
                return {int(some[0]): error}
            return {row: e for each in some for row, e in attempt(each[None]).items()}
        return {}

    errors: dict[int, UnreadableError] = {}
    with without_pillow_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for part in map_in_threads(pool, attempt, np.array_split(rows, -(-len(rows) // _TOGETHER))):
            errors |= part
    return errors


def listing(errors: Mapping[int, UnreadableError], ids: Sequence[str] | Mapping[int, str]) -> str:
    """The first of them by name, with the reasons.

    Example:
        >>> listing({1: UnreadableError.of("b.png", "it is empty", "replace it")}, ["a", "b.png"])
        "'b.png' (it is empty)"
    """
    return first_few([f"{ids[row]!r} ({e.reason or e})" for row, e in errors.items()])


def refuse_unreadable(
    errors: Mapping[int, UnreadableError], ids: Sequence[str] | Mapping[int, str], name: str
) -> None:
    """Refuse them, all at once."""
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        raise DataError(
            f"{len(errors):,} of {len(ids):,} files of {name} cannot be read: "
            f"{listing(errors, ids)}; replace them, or leave them out with data.unreadable: skip"
        )
