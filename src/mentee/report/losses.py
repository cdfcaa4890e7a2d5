"""What was measured of the losses in a run's first steps, in columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = ["loss", "mean", "weight", "counts", "pull"]

ABOUT = (
    "Mean: of the unweighted loss. Counts: weight × mean. Pull: length of the weighted gradient "
    "where the term reads the student, over that of {beside} there, in the first step"
)


def columns(losses: Mapping[str, Mapping[str, float | None]]) -> list[list[str]]:
    """A row for each loss, below the names of the columns.

    Args:
        losses: of each its `mean`, `weight` and `pull`; None where that could not be measured.

    Example:
        >>> columns({"task": {"mean": 2.5, "weight": 0.1, "pull": 1.0}})[1]
        ['task', '2.5', '0.1', '0.25', '1']
    """
    rows = [HEAD]
    for name, found in losses.items():
        mean, weight, pull = (found[key] for key in ("mean", "weight", "pull"))
        counts = None if mean is None or weight is None else mean * weight
        rows.append([name, *(said(value) for value in (mean, weight, counts, pull))])
    return rows


def said(value: float | None) -> str:
    """Four digits of a number; nothing of None."""
    return "" if value is None else f"{value:.4g}"


def lines(measured: Mapping[str, Any]) -> list[str]:
    """The same as lines of plain text.

    Args:
        measured: `steps`, and `losses` as for `columns`.
    """
    many = f"the first {measured['steps']} steps" if measured["steps"] != 1 else "the first step"
    rows = [[f"measured in {many}", *HEAD[1:]], *columns(measured["losses"])[1:]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([f"{row[0]:<{widths[0]}}", *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
