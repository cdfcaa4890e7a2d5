"""What probes found, as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of a table: who and way; for each number of labels mean ± spread over the seeds.

    Args:
        rows: of `probe.json`.

    Example:
        >>> row = {"who": "student", "way": "knn", "share": 0.1, "labels": 50}
        >>> cells([{**row, "seed": s, "score": x} for s, x in enumerate((0.5, 0.6))])
        [['who', 'way', '50 labels (10 %)'], ['student', 'knn', '0.5500 ± 0.0707']]
    """
    columns = sorted({(row["labels"], row["share"]) for row in rows})
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for row in rows:
        of = found.setdefault((row["who"], row["way"]), {})
        of.setdefault(row["labels"], []).append(row["score"])
    shares = [f"{labels:,} labels ({share * 100:.3g} %)" for labels, share in columns]
    lines = [
        [who, way, *(spread(of.get(labels, [])) for labels, _ in columns)]
        for (who, way), of in found.items()
    ]
    return [["who", "way", *shares], *lines]


def spread(scores: Sequence[float]) -> str:
    """Mean and sample standard deviation of some scores.

    Example:
        >>> spread([0.5, 0.6]), spread([0.5]), spread([])
        ('0.5500 ± 0.0707', '0.5000', '')
    """
    if len(scores) < 2:
        return f"{scores[0]:.4f}" if scores else ""
    return f"{statistics.mean(scores):.4f} ± {statistics.stdev(scores):.4f}"


def said_of(content: Mapping[str, Any]) -> str:
    """How the numbers came about, in a sentence or two.

    Args:
        content: of `probe.json`.
    """
    asked = content["asked"]
    return (
        f"{asked['by']} on {asked['test']['examples']:,} test examples; labels from "
        f"{asked['train']['examples']:,} others, balanced over their labels, ± the spread over "
        "draws of them. untrained: the student before its first step."
    )
