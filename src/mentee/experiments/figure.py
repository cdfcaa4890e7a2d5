"""The differences to scratch as a figure: a dot and an interval a row, scratch as a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import floor, log10
from typing import Any

LINE, LETTER, WIDE, RIGHT, TOP = 20.0, 7.0, 460.0, 130.0, 34.0
"""Pixels: height of a row, room for a letter, width of the plot, for verdicts, for the axis."""
COLORS = {"HELPS": "#1a7f37", "HURTS": "#cf222e"}
GRAY = "#6e7781"


def figure(content: Mapping[str, Any]) -> str:
    """An SVG of `compare.json`, students one below the other, rows in its order.

    Args:
        content: of `compare.json`.

    Returns:
        One `<svg>` that needs nothing else.
    """
    students = list(content["students"])
    rows = [e for e in content["rows"] if told(e)]
    ends = [v for e in rows for v in (e["to_scratch"]["low"], e["to_scratch"]["high"])]
    ends += [e["to_scratch"]["difference"] for e in rows]
    values = [0.0, *(v for v in ends if v is not None)]
    marks = ticks(min(values), max(values))
    low, high = min(marks[0], *values), max(marks[-1], *values)
    left = 24 + LETTER * max((len(called(e)) for e in rows), default=0)
    parts, y = [], TOP

    def x(value: float) -> float:
        return left + float(WIDE * (value - low) / (high - low))

    for student in students:
        if len(students) > 1:
            parts.append(text(8.0, y + 13, student, weight="bold"))
            y += LINE
        for entry in (e for e in rows if e["student"] == student):
            parts.append(row(entry, x, left, y + LINE / 2))
            y += LINE
    bottom = y + 6
    axis = [line(x(m), TOP - 4, x(m), bottom, "#d8dee4") for m in marks]
    axis += [text(x(m), TOP - 10, f"{m:+.3g}" if m else "0", anchor="middle") for m in marks]
    axis.append(line(x(0.0), TOP - 4, x(0.0), bottom, "#24292f"))
    score = content["score"]
    less = "" if score is None or score.get("higher_is_better", True) else " (lower is better)"
    name = ""
    if score is not None:
        name = f"{score['part']} {score['name']}{less}: difference to scratch, 95 %"
    axis.append(text(left, 12.0, name))
    size = f'width="{left + WIDE + RIGHT:g}" height="{bottom + 8:g}"'
    box = f'viewBox="0 0 {left + WIDE + RIGHT:g} {bottom + 8:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box}'
    style = 'font-family="sans-serif" font-size="12" role="img"'
    white = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f"{head} {style}>", white, *axis, *parts, "</svg>\n"])


def told(entry: Mapping[str, Any]) -> bool:
    """Whether there is a difference to draw."""
    found = entry["to_scratch"]
    return found is not None and found["difference"] is not None


def called(entry: Mapping[str, Any]) -> str:
    """What stands before a row."""
    return f"{entry['method']}{' (best)' if entry['best'] else ''}"


def row(entry: Mapping[str, Any], x: Callable[[float], float], left: float, y: float) -> str:
    """Name, interval, dot and verdict of one row."""
    found, verdict = entry["to_scratch"], entry["verdict"] or ""
    color = COLORS.get(verdict, GRAY)
    parts = [text(left - 12, y + 4, called(entry), anchor="end")]
    if found["low"] is not None:
        parts.append(line(x(found["low"]), y, x(found["high"]), y, color, width=2))
    parts.append(f'<circle cx="{x(found["difference"]):.1f}" cy="{y:g}" r="4" fill="{color}"/>')
    parts.append(text(left + WIDE + 12, y + 4, verdict.lower(), fill=color))
    return "\n".join(parts)


def ticks(low: float, high: float, count: int = 6) -> Sequence[float]:
    """Round numbers from below `low` to above `high`, about `count` of them.

    Example:
        >>> [round(tick, 3) for tick in ticks(-0.013, 0.031)]
        [-0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04]
    """
    rough = (high - low) / count or 0.01
    power = 10.0 ** floor(log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    first, last = floor(low / step), -floor(-high / step)
    return [step * n for n in range(first, max(last, first + 1) + 1)]


def line(x1: float, y1: float, x2: float, y2: float, color: str, *, width: int = 1) -> str:
    """A straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}"/>'


def text(
    x: float,
    y: float,
    content: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    fill: str = "#24292f",
) -> str:
    """A text."""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} font-weight="{weight}" fill="{fill}">{escape(content)}</text>'
