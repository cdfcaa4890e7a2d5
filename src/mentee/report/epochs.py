"""Tables of what a run measured epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mentee.report.blocks import Block, Table, Text
from mentee.report.tables import number

EPOCHS = 20
"""The most evaluations that a table has all of."""


def training_blocks(
    summary: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]
) -> list[Block]:
    """Losses and the validation score of each epoch."""
    validated = [line for line in metrics if "validation" in line]
    if not validated:
        return []
    chosen = summary["selected"]
    shown = thinned(validated, chosen["epoch"])
    losses = {line["epoch"]: line["losses"] for line in metrics if "losses" in line}
    names = list(dict.fromkeys(name for each in losses.values() for name in each))
    by = None if chosen["by"] == "knn" else chosen["by"]
    score = by or next(iter(validated[-1]["validation"]), "")
    lines = [["epoch", f"validation {score}", *names]]
    for line in shown:
        at = losses.get(line["epoch"], {})
        value = number(line["validation"].get(score))
        lines.append([str(line["epoch"]), value, *(number(at.get(name)) for name in names)])
    return [Table(lines, folded="Losses and validation by epoch"), *left_out(shown, validated)]


def thinned(lines: Sequence[Mapping[str, Any]], chosen: int) -> list[Mapping[str, Any]]:
    """At most twenty lines of epochs, else a tenth of them, with the chosen one and the last."""
    every = 1 if len(lines) <= EPOCHS else -(-len(lines) // 9)
    return [
        line
        for i, line in enumerate(lines)
        if i % every == 0 or line is lines[-1] or line["epoch"] == chosen
    ]


def left_out(shown: Sequence[Any], lines: Sequence[Any]) -> list[Block]:
    """A sentence on the epochs that a table leaves out; none where it has all."""
    if len(shown) == len(lines):
        return []
    count = f"{len(shown)} of {len(lines)} evaluations"
    return [Text(f"{count}, with the one whose weights were taken; metrics.jsonl has all.")]


def monitor_blocks(summary: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The scores of the monitor; the first line is the student before its first step."""
    lines = [line for line in metrics if "monitor" in line]
    if not lines:
        return []
    shown = thinned(lines, summary["selected"]["epoch"])
    names = [n for n in ("knn", "gain", "noise", "probe") if n in lines[-1]["monitor"]]
    rows = [
        [str(line["epoch"]), *(number(line["monitor"].get(name)) for name in names)]
        for line in shown
    ]
    examples = summary["monitor"]["examples"]
    text = (
        f"{examples:,} labeled examples, each classified by its nearest neighbors among the others "
        "(knn); no loss read their labels. Gain: since the last validation that was better by more "
        "than its noise."
    )
    table = Table([["epoch", *names], *rows], folded="The monitor by epoch")
    return [Text(text), table, *left_out(shown, lines)]
