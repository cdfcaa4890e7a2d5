"""Tables as plain text and Markdown; the cells of probes and of measured losses."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Cells = Sequence[Sequence[str]]

LOSS_COLUMNS = ["loss", "mean", "weight", "weighted", "gradient norm"]
LOSS_LEGEND = (
    "Mean: of the unweighted loss. Weighted: weight × mean. Gradient norm: of the weighted loss at "
    "the layer of the student that it reads, over that of {reference} there, in the first step"
)


def align(lines: Cells, *, right: bool = False) -> str:
    """Rows as plain text in aligned columns; where wanted, all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pad = str.rjust if right else str.ljust
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(pad, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def markdown_table(lines: Cells) -> str:
    r"""Rows as a Markdown table, the first one its head; a line break in a cell is a blank.

    Example:
        >>> print(markdown_table([["a", "b"], ["1", "2|3"]]))
        | a | b |
        |---|---|
        | 1 | 2\|3 |
    """
    plain = [[" ".join(cell.splitlines()).replace("|", r"\|") for cell in line] for line in lines]
    head, *rows = [f"| {' | '.join(line)} |" for line in plain]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows])


def without_empty_columns(lines: list[list[str]]) -> list[list[str]]:
    """The columns that have any content below their head."""
    columns = [i for i in range(len(lines[0])) if any(line[i] for line in lines[1:])]
    return [[line[i] for i in columns] for line in lines]


def number(value: float | None) -> str:
    """Four decimals; empty for None."""
    return "" if value is None else f"{value:.4f}"


def short(value: float | None) -> str:
    """Four significant digits; empty for None."""
    return "" if value is None else f"{value:.4g}"


def signed(value: float) -> str:
    """A difference.

    Example:
        >>> signed(0.0223), signed(-0.5)
        ('+0.0223', '−0.5000')
    """
    return f"{value:+.4f}".replace("-", "−")


def spread(scores: Sequence[float]) -> str:
    """Mean and sample standard deviation; of two scores both, since two have no spread to tell.

    Example:
        >>> spread([0.5, 0.6, 0.7]), spread([0.5, 0.6]), spread([0.5]), spread([])
        ('0.6000 ± 0.1000', '0.5500 (0.5000, 0.6000)', '0.5000', '')
    """
    if not scores:
        return ""
    mean = f"{statistics.mean(scores):.4f}"
    if len(scores) == 2:
        return f"{mean} ({scores[0]:.4f}, {scores[1]:.4f})"
    return mean if len(scores) == 1 else f"{mean} ± {statistics.stdev(scores):.4f}"


def benchmark_cells(content: Mapping[str, Any]) -> list[list[str]]:
    """A line for each row of `benchmark.json`, and a head."""
    head = ["network", "runtime", "threads", "parameters", "million MACs", "MB", "peak memory, MB"]
    cells = [[*head, "p50, ms", "p95, ms", "examples/s"]]
    for row in content["rows"]:
        known = {key: value for key, value in row.items() if value is not None}
        cells.append([row["network"], row["runtime"], str(row["threads"])])
        cells[-1].append(f"{known['parameters']:,}" if "parameters" in known else "")
        for key, unit in (("macs", 1e6), ("bytes", 1e6), ("memory", 1e6)):
            cells[-1].append(f"{known[key] / unit:,.2f}" if key in known else "")
        cells[-1] += [f"{row['p50']:.3f}", f"{row['p95']:.3f}", f"{row['throughput']:,.0f}"]
    return cells


def probe_cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A line for each network and way in `probe.json`, a column for each number of labels.

    Example:
        >>> row = {"who": "student", "way": "knn", "share": 0.1, "labels": 50}
        >>> probe_cells([{**row, "seed": s, "score": x} for s, x in enumerate((0.5, 0.6))])
        [['network', 'probe', '50 labels (10 %)'], ['student', 'knn', '0.5500 (0.5000, 0.6000)']]
    """
    columns = sorted({(row["labels"], row["share"]) for row in rows})
    scores: dict[tuple[str, str], dict[int, list[float]]] = {}
    for row in rows:
        by_labels = scores.setdefault((row["who"], row["way"]), {})
        by_labels.setdefault(row["labels"], []).append(row["score"])
    lines = [
        [network, way, *(spread(by_labels.get(labels, [])) for labels, _ in columns)]
        for (network, way), by_labels in scores.items()
    ]
    shares = [f"{labels:,} labels ({share * 100:.3g} %)" for labels, share in columns]
    return [["network", "probe", *shares], *lines]


def probe_legend(content: Mapping[str, Any]) -> str:
    """How the scores of `probe.json` were measured."""
    settings = content.get("settings") or content["asked"]  # of version 0.1
    config = settings.get("probe") or {}
    named = [
        f"{key} {config[key]}" for key in ("source", "train", "test", "label") if config.get(key)
    ]
    parts = f"Of {', '.join(named)}: " if named else ""
    return (
        f"{parts}{settings['by']} on {settings['test']['examples']:,} test examples; labels "
        f"from {settings['train']['examples']:,} others, balanced over their labels, ± the spread "
        "over draws of them. untrained: the student before its first step."
    )


def loss_cells(losses: Mapping[str, Mapping[str, float | None]]) -> list[list[str]]:
    """A line for each loss that was measured in a run's first steps, as far as it could be.

    Example:
        >>> loss_cells({"task": {"mean": 2.5, "weight": 0.1, "gradient_norm": 1.0}})[1]
        ['task', '2.5', '0.1', '0.25', '1']
    """
    lines = [LOSS_COLUMNS]
    for name, measured in losses.items():
        mean, weight = measured["mean"], measured["weight"]
        norm = measured["gradient_norm"] if "gradient_norm" in measured else measured["pull"]
        weighted = None if mean is None or weight is None else mean * weight
        lines.append([name, *map(short, (mean, weight, weighted, norm))])
    return lines


def loss_lines(measured: Mapping[str, Any]) -> list[str]:
    """The measured losses as lines of plain text."""
    first = f"first {measured['steps']} steps" if measured["steps"] != 1 else "first step"
    _, *lines = loss_cells(measured["losses"])
    return align([[f"measured in the {first}", *LOSS_COLUMNS[1:]], *lines], right=True).split("\n")
