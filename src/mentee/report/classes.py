"""The scores of each class, and which classes are taken for which, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mentee.report.tables import markdown_table, number

SHOWN = 30
"""The most classes in a table; of more, those with the lowest scores."""
MATRIX = 12
"""The most classes whose confusions are a table; of more, the most frequent ones are listed."""
CONFUSIONS = 10


def class_section(part: str, details: Mapping[str, Any]) -> str:
    """The section with the scores of the classes of one part, and confusions; "" without any."""
    classes = details.get("classes") or {}
    if not classes:
        return ""
    names = list(next(iter(classes.values())))
    scores = [name for name in names if name not in ("examples", "positive", "predicted")]
    shown = list(classes)
    title = f"Of {details['examples']:,} examples of {part}."
    if len(classes) > SHOWN:
        shown = sorted(shown, key=lambda c: -1.0 if (v := classes[c][scores[0]]) is None else v)
        shown, title = (
            shown[:SHOWN],
            f"{title} The {SHOWN} of {len(classes)} classes with the lowest {scores[0]}.",
        )
    lines = [["class", *(name.replace("_", " ") for name in names)]]
    lines += [[name, *(cell(classes[name][n]) for n in names)] for name in shown]
    parts = ["## Classes", title, markdown_table(lines)]
    if details.get("confusion"):
        parts.append(confusions(list(classes), details["confusion"]))
    return "\n\n".join(filter(None, parts))


def cell(value: int | float | None) -> str:
    """A count, or a score with four decimals."""
    return f"{value:,}" if isinstance(value, int) else number(value)


def confusions(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Which classes are taken for which.

    Example:
        >>> print(confusions(["a", "b"], [[3, 1], [0, 2]]))
        Rows: the true class; columns: the class predicted.
        <BLANKLINE>
        |  | a | b |
        |---|---|---|
        | a | 3 | 1 |
        | b | 0 | 2 |
    """
    if len(names) <= MATRIX:
        lines = [["", *names], *([n, *map(str, r)] for n, r in zip(names, counts, strict=True))]
        return f"Rows: the true class; columns: the class predicted.\n\n{markdown_table(lines)}"
    pairs = [
        (count, names[i], names[j])
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    texts = [f"{true} as {predicted} {count:,}" for count, true, predicted in pairs[:CONFUSIONS]]
    return f"Most frequent confusions: {', '.join(texts)}." if texts else ""
