"""The differences of a comparison as an SVG figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import floor, log10
from typing import Any

Entry = Mapping[str, Any]
ROW, LETTER, WIDTH, RIGHT, TOP = 20.0, 7.0, 460.0, 130.0, 34.0
"""Pixels: height of a row, room for a letter, width of the plot, for verdicts, for the axis."""
COLORS = {"HELPS": "#1a7f37", "HURTS": "#cf222e"}
GRAY = "#6e7781"


def figure(content: Mapping[str, Any]) -> str:
    """The differences to scratch as an SVG: a dot and an interval for each row.

    Args:
        content: of `compare.json`.

    Returns:
        One `<svg>` without outside resources; students one below the other, rows in their order.
    """
    rows = [
        e for e in content["rows"] if e["to_scratch"] and e["to_scratch"]["difference"] is not None
    ]
    drawn = [e["to_scratch"] for e in rows]
    values = [v for each in drawn for v in (*judged_ends(each), each["difference"])]
    ends = [value for value in values if value is not None]
    marks = ticks(min([0.0, *ends]), max([0.0, *ends]))
    low, high = min(marks[0], 0.0, *ends), max(marks[-1], 0.0, *ends)
    left = 24 + LETTER * max((len(label(e)) for e in rows), default=0)
    parts, y, students = [], TOP, list(content["students"])

    def x(value: float) -> float:
        return left + float(WIDTH * (value - low) / (high - low))

    for student in students:
        if len(students) > 1:
            parts.append(text(8.0, y + 13, student, weight="bold"))
            y += ROW
        for entry in (e for e in rows if e["student"] == student):
            parts.append(draw_row(entry, x, left, y + ROW / 2))
            y += ROW
    bottom = y + 6
    axis = [line(x(m), TOP - 4, x(m), bottom, "#d8dee4") for m in marks]
    axis += [text(x(m), TOP - 10, f"{m:+.3g}" if m else "0", anchor="middle") for m in marks]
    axis.append(line(x(0.0), TOP - 4, x(0.0), bottom, "#24292f"))
    score = content["score"]
    if score is not None:
        lower = "" if score.get("higher_is_better", True) else " (lower is better)"
        name = f"{score['part']} {score['name']}{lower}: difference to scratch"
        axis.append(text(left, 12.0, name))
    size = f"{left + WIDTH + RIGHT:g}", f"{bottom + 8:g}"
    head = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
    head += f' role="img" width="{size[0]}" height="{size[1]}" viewBox="0 0 {" ".join(size)}">'
    white = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, white, *axis, *parts, "</svg>\n"])


def judged_ends(difference: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The interval that is judged; of a comparison by an older version that of 95 %."""
    low, high = difference.get("judged") or (difference["low"], difference["high"])
    return low, high


def label(entry: Entry) -> str:
    """The name before a row of the figure."""
    return f"{entry['method']}{' (best)' if entry['best'] else ''}"


def draw_row(entry: Entry, x: Callable[[float], float], left: float, y: float) -> str:
    """Name, interval, dot and verdict of one row."""
    difference, verdict = entry["to_scratch"], entry["verdict"] or ""
    color = COLORS.get(verdict, GRAY)
    parts = [text(left - 12, y + 4, label(entry), anchor="end")]
    low, high = judged_ends(difference)
    if low is not None and high is not None:
        parts.append(line(x(low), y, x(high), y, color, width=2))
    center = x(difference["difference"])
    parts.append(f'<circle cx="{center:.1f}" cy="{y:g}" r="4" fill="{color}"/>')
    parts.append(text(left + WIDTH + 12, y + 4, verdict.lower(), fill=color))
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
