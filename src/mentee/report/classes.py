"""The scores of each class, and which classes are taken for which, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mentee.report.blocks import Block, Table, Text
from mentee.report.tables import number

SHOWN = 30
"""The most classes in a table; of more, those with the lowest scores."""
MATRIX = 12
"""The most classes whose confusions are a table; of more, the most frequent ones are listed."""
CONFUSIONS = 10


def class_section(part: str, details: Mapping[str, Any]) -> list[Block]:
    """The scores of the classes of one part, and confusions; nothing without any."""
    classes = details.get("classes") or {}
    if not classes:
        return []
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
    head = ["class", *(name.replace("_", " ") for name in names)]

    def table(chosen: Sequence[str], folded: str = "", *, in_markdown: bool = True) -> Table:
        rows = [[name, *(cell(classes[name][n]) for n in names)] for name in chosen]
        shares = scores[0] in ("recall", "average_precision")
        bars = scores[0].replace("_", " ") if shares else ""
        return Table([head, *rows], bars, folded, in_markdown)

    blocks: list[Block] = [Text(title), table(shown)]
    if len(shown) < len(classes):
        blocks.append(table(list(classes), f"All {len(classes):,} classes", in_markdown=False))
    return blocks


def cell(value: int | float | None) -> str:
    """A count, or a score with four decimals."""
    return f"{value:,}" if isinstance(value, int) else number(value)


def confusions(details: Mapping[str, Any]) -> list[Block]:
    """Which classes of one part are taken for which; nothing where that was not counted.

    Example:
        >>> for block in confusions({"classes": {"a": {}, "b": {}}, "confusion": [[3, 1], [0, 2]]}):
        ...     print(block.markdown())
        Rows: the true class; columns: the class predicted.
        |  | a | b |
        |---|---|---|
        | a | 3 | 1 |
        | b | 0 | 2 |
    """
    names, counts = list(details.get("classes") or {}), details.get("confusion") or []
    if counts and len(names) <= MATRIX:
        lines = [["", *names], *([n, *map(str, r)] for n, r in zip(names, counts, strict=True))]
        legend = "Rows: the true class; columns: the class predicted."
        return [Text(legend), Table(lines, folded="The confusion matrix as a table")]
    pairs = [
        (count, names[i], names[j])
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    texts = [f"{true} as {predicted} {count:,}" for count, true, predicted in pairs[:CONFUSIONS]]
    return [Text(f"Most frequent confusions: {', '.join(texts)}.")] if texts else []
