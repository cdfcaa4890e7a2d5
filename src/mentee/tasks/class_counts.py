"""Refuse training labels that lack a class, or tell nothing apart."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from mentee.errors import DataError


def refuse_empty_classes(classes: tuple[str, ...], counts: npt.NDArray[Any], name: str) -> None:
    """Refuse classes without a (positive) example.

    Raises:
        DataError: there are some.
    """
    empty = [each for each, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"{name} has no example of {len(empty)} of {len(classes)} classes: "
            f"{', '.join(empty[:10])}{', ...' if len(empty) > 10 else ''}; "
            "give it some, or leave these classes out of `classes`"
        )


def refuse_one_class(what: str) -> None:
    """Refuse labels that are the same for all examples.

    Raises:
        DataError: always.
    """
    raise DataError(
        f"{what}, so there is nothing to tell apart; give examples of another class too, or train "
        "on the transfer alone with data.label: false"
    )
