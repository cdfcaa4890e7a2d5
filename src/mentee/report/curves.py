"""The curves of a run: losses, validation, learning rate, weights and gradient norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mentee.report.blocks import Block, Figures
from mentee.report.plots import SERIES, lines
from mentee.report.svg import Number, Point

POINTS = 400
"""The most points of a line."""
Lines = Sequence[Mapping[str, Any]]


def training_curves(summary: Mapping[str, Any], metrics: Lines) -> list[Block]:
    """Small plots side by side, of whatever was recorded more than once."""
    steps = summary["steps"] / max(summary["epochs"], 1)
    plots = [
        plot
        for name, series in by_kind(grouped(metrics, "losses", steps)).items()
        if (plot := drawn(series, f"loss: {name}"))
    ]
    plots += validation_plots(summary, metrics)
    weights = grouped(metrics, "weights", steps)
    moving = {name: points for name, points in weights.items() if len({y for _, y in points}) > 1}
    rates = [(line["step"] / steps, line["lr"]) for line in metrics if "lr" in line]
    norms = grouped(metrics, "gradient_norms", steps)
    plots += [drawn(moving, "weight"), drawn({"lr": rates}, "learning rate")]
    plots += [drawn(norms, "gradient norm")]
    shown = [plot for plot in plots if plot]
    caption = "Losses are means over steps, before their weights."
    ring = " Ring: the epoch whose weights were taken." if "ring" in "".join(shown) else ""
    return [Figures(shown, caption + ring)] if shown else []


def validation_plots(summary: Mapping[str, Any], metrics: Lines) -> list[Markup]:
    """The main score and the loss on validation, with a ring at the chosen epoch."""
    scores = grouped(metrics, "validation", None)
    chosen = summary["selected"]
    by = chosen["by"] if chosen["by"] in scores else (summary.get("score") or {}).get("name")
    names = dict.fromkeys([by if by in scores else next(iter(scores), ""), "loss"])
    plots = []
    for name in names:
        points = scores.get(str(name), [])
        at = next((p for p in points if p[0] == chosen["epoch"]), None)
        plots.append(drawn({str(name): points}, f"validation: {name}", at))
    return [plot for plot in plots if plot]


def drawn(series: Mapping[str, Sequence[Point]], title: str, mark: Point | None = None) -> Markup:
    """A plot of the lines that have two points at least; empty: there is none."""
    shown = {name: thin(points) for name, points in series.items() if len(points) > 1}
    return lines(shown, title.replace("_", " "), mark=mark) if shown else Markup("")


def grouped(metrics: Lines, group: str, steps: Number | None) -> dict[str, list[Point]]:
    """The numbers of a group of the metrics: points (epoch, value) by name.

    Args:
        metrics: of `metrics.jsonl`.
        group: `losses`, `validation` and the like.
        steps: of an epoch; None: the metrics' own epochs are taken.
    """
    series: dict[str, list[Point]] = {}
    for line in metrics:
        x = line["epoch"] if steps is None else line["step"] / steps
        for name, y in (line.get(group) or {}).items():
            if abs(y) < float("inf"):
                series.setdefault(name, []).append((x, y))
    return series


def by_kind(series: Mapping[str, Sequence[Point]]) -> dict[str, dict[str, Sequence[Point]]]:
    """Losses of one kind together, such as `contrast/stem` and `contrast/embedding`."""
    kinds: dict[str, dict[str, Sequence[Point]]] = {}
    for name, points in series.items():
        kind, _, layer = name.partition("/")
        group = kinds.setdefault(kind, {})
        while len(group) >= SERIES:
            kind += " (more)"
            group = kinds.setdefault(kind, {})
        group[layer or kind] = points
    return kinds


def thin(points: Sequence[Point]) -> Sequence[Point]:
    """At most 400 of the points, the last among them.

    Example:
        >>> thin([(x, x) for x in range(1000)])[-2:]
        [(996, 996), (999, 999)]
    """
    every = -(-len(points) // POINTS)
    return [point for i, point in enumerate(points) if i % every == 0 or i == len(points) - 1]
