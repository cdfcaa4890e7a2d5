"""Plots as inline SVG: lines, a forest plot, a heat map, a reliability diagram.

Every plot has a title for screen readers, and its parts say their numbers when pointed at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, log10

from markupsafe import Markup

from mentee.metrics import wilson_interval
from mentee.report.svg import (
    LETTER,
    Number,
    Point,
    line,
    scale,
    shortened,
    svg,
    text,
    tick_text,
    ticks,
)

ROW = 22.0
"""Pixels: height of a row of a forest plot."""
SERIES = 8
"""Line styles that `style.css` has."""


@dataclass(frozen=True)
class Estimate:
    """A row of a forest plot.

    Attributes:
        label: before the row.
        value: where its dot is.
        low: of its interval; None: there is none.
        high: the same.
        style: `helps`, `hurts` or `neutral`, whose dot is open.
        note: behind the row.
        head: a heading over the row.
    """

    label: str
    value: Number
    low: Number | None = None
    high: Number | None = None
    style: str = "neutral"
    note: str = ""
    head: str = ""


def forest(rows: Sequence[Estimate], title: str, *, zero: bool = True, width: int = 420) -> Markup:
    """A dot and an interval for each row.

    Args:
        rows: from top to bottom.
        title: of the axis.
        zero: the values are differences, and 0 is marked.
        width: of the part with the dots.
    """
    rows = [row for row in rows if isfinite(row.value)]
    ends = [v for row in rows for v in (row.low, row.high, row.value) if v is not None]
    ends += [0.0] if zero or not ends else []
    marks = ticks(min(ends), max(ends), 5)
    low, high = min(marks[0], *ends), max(marks[-1], *ends)
    left = 16 + LETTER * max((len(row.label) for row in rows), default=0)
    right = 16 + LETTER * max((len(row.note) for row in rows), default=0)
    top, parts, y = 40.0, list[str](), 40.0

    def x(value: Number) -> float:
        return left + width * (value - low) / (high - low)

    for row in rows:
        if row.head:
            parts.append(text(0, y + 15, row.head, "bold"))
            y += ROW
        center = y + ROW / 2
        parts.append(text(left - 12, center + 4, row.label, anchor="end"))
        if row.low is not None and row.high is not None:
            style = f"bar {row.style}"
            parts.append(line((x(row.low), center), (x(row.high), center), style))
        open_dot = " open" * (row.style == "neutral")
        dot = f'<circle class="dot {row.style}{open_dot}" cx="{x(row.value):.1f}" cy="{center:.1f}"'
        parts.append(f'{dot} r="4"><title>{escape(interval_title(row))}</title></circle>')
        parts.append(text(left + width + 12, center + 4, row.note, "muted"))
        y += ROW
    axis = [line((x(m), top - 4), (x(m), y + 4), "grid") for m in marks]
    axis += [text(x(m), top - 10, tick_text(m, signed=zero), "muted", "middle") for m in marks]
    axis += [line((x(0.0), top - 4), (x(0.0), y + 4), "zero")] if zero else []
    return svg(left + width + right, y + 8, title, [text(left, 12, title, "muted"), *axis, *parts])


def interval_title(row: Estimate) -> str:
    """A row of a forest plot in words."""
    ends = "" if row.low is None or row.high is None else f" [{row.low:.4f}, {row.high:.4f}]"
    return f"{row.label}: {row.value:.4f}{ends}"


def lines(
    series: Mapping[str, Sequence[Point]],
    title: str,
    *,
    across: str = "epoch",
    mark: Point | None = None,
    logarithmic: bool = False,
    bands: Mapping[str, Sequence[tuple[Number, Number, Number]]] | None = None,
) -> Markup:
    """A line for each series of points (x, y), named in a legend below.

    Args:
        series: by name; points in the order of x.
        title: what the lines show.
        across: the name of x.
        mark: a point with a ring around it.
        logarithmic: the scale of x; all x are above 0.
        bands: intervals (x, low, high) by the name of their series.
    """
    width, height, left, top = 328.0, 180.0, 44.0, 26.0
    legend = legend_of(list(series), left, width)
    ys = [y for points in series.values() for _, y in points]
    ys += [v for band in (bands or {}).values() for _, *ends in band for v in ends]
    xs = [x for points in series.values() for x, _ in points]
    y_marks = ticks(min(ys), max(ys), 4)
    if logarithmic:
        to_x = scale(log10(min(xs)), log10(max(xs)), left, width - 10)
        x_marks = sorted(set(xs))
    else:
        to_x = scale(min(xs), max(xs), left, width - 10)
        x_marks = [m for m in ticks(min(xs), max(xs), 5) if min(xs) <= m <= max(xs)]
    to_y = scale(y_marks[0], y_marks[-1], height - 24, top)

    def at(x: Number, y: Number) -> Point:
        return to_x(log10(x) if logarithmic else x), to_y(y)

    bottom = height - 24
    parts = [text(0, 12, title, "bold")]
    parts += [line((left, to_y(m)), (width - 10, to_y(m)), "grid") for m in y_marks]
    parts += [text(left - 6, to_y(m) + 4, tick_text(m), "muted", "end") for m in y_marks]
    free = -1e9
    for m in x_marks:
        x, label = at(m, y_marks[0])[0], tick_text(m)
        half = LETTER * len(label) / 2
        if x - half > free + 4:
            parts.append(text(x, bottom + 16, label, "muted", "middle"))
            free = x + half
    parts.append(text(width - 10, 12, across, "muted", "end"))
    for name, band in (bands or {}).items():
        style = f"s{list(series).index(name) % SERIES}"
        for x, low, high in band:
            parts.append(line(at(x, low), at(x, high), f"bar {style}"))
    for i, (name, points) in enumerate(series.items()):
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        style, name = f"s{i % SERIES}", escape(f"{name}: last {points[-1][1]:.4g}")
        parts.append(f'<polyline class="line {style}" points="{where}"><title>{name}</title>')
        parts.append("</polyline>")
        if len(points) <= 8:
            for point in points:
                x, y = at(*point)
                parts.append(f'<circle class="point {style}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
    if mark is not None:
        x, y = at(*mark)
        parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    for name, i, x, row in legend:
        y = height + 8 + 16 * row
        parts.append(line((x, y - 4), (x + 18, y - 4), f"line s{i % SERIES}"))
        parts.append(text(x + 23, y, name, "muted"))
    tall = height + (16 * (legend[-1][3] + 1) if len(series) > 1 else 0)
    return svg(width, tall, title, parts)


def legend_of(
    names: Sequence[str], left: Number, width: Number
) -> list[tuple[str, int, float, int]]:
    """(name, number, x, row) of each entry of a legend; none for one line."""
    entries, x, row = list[tuple[str, int, float, int]](), left, 0
    for i, name in enumerate(names if len(names) > 1 else ()):
        short = name if len(name) <= 40 else f"{name[:39]}…"
        room = 36 + LETTER * len(short)
        if x > left and x + room > width:
            x, row = left, row + 1
        entries.append((short, i, x, row))
        x += room
    return entries


def heat_map(
    values: Sequence[Sequence[Number | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    *,
    texts: Sequence[Sequence[str]] | None = None,
    hints: Sequence[Sequence[str]] | None = None,
    diagonal: bool = False,
    across: str = "",
    down: str = "",
) -> Markup:
    """A cell for each pair of a row and a column, the stronger its color the larger its value.

    Args:
        values: in [0, 1], by row; None: the cell is empty.
        rows: their names.
        columns: their names.
        title: for screen readers.
        texts: in the cells; None: none.
        hints: what a cell says when pointed at.
        diagonal: the cells of the diagonal have another color.
        across: what the columns are.
        down: what the rows are.
    """
    widest = max((len(t) for each in texts or () for t in each), default=0)
    size = max(26.0, 10 + LETTER * widest) if texts else max(9.0, min(18.0, 620 / len(columns)))
    high = min(size, 26.0)
    rows, columns = [[shortened(n) for n in names] for names in (rows, columns)]
    flat = all(LETTER * len(name) < size - 2 for name in columns)
    left = 14 + LETTER * max(map(len, rows)) + (18 if down else 0)
    steep = size < 20
    top = 20.0 if flat else 14 + (1.0 if steep else 0.75) * LETTER * max(map(len, columns))
    top += 18 if across else 0
    slant = 0.0 if flat or steep else 0.75 * LETTER * len(columns[-1])
    named = high >= 11
    parts = list[str]()
    for i, each in enumerate(values):
        y = top + i * high
        if named:
            parts.append(text(left - 6, y + high / 2 + 4, rows[i], "muted", "end"))
        for j, value in enumerate(each):
            if value is None:
                continue
            x, strength = left + j * size, min(max(value, 0.0), 1.0)
            style = "cell other" if diagonal and i != j else "cell"
            hint = f"<title>{escape(hints[i][j])}</title>" if hints else ""
            where = f'x="{x:.1f}" y="{y:.1f}" width="{size - 1:.1f}" height="{high - 1:.1f}"'
            parts.append(
                f'<rect class="{style}" {where} fill-opacity="{strength:.2f}">{hint}</rect>'
            )
            if texts and texts[i][j]:
                shade = "on" if strength > 0.55 else ""
                parts.append(text(x + size / 2, y + high / 2 + 4, texts[i][j], shade, "middle"))
    for j, name in enumerate(columns if named else ()):
        x = left + (j + 0.5) * size + (4 if steep else 0)
        angle = -90 if steep else -48
        turn = "" if flat else f' transform="rotate({angle} {x:.1f} {top - 6:.1f})"'
        parts.append(text(x, top - 6, name, "muted", "middle" if flat else "start", turn))
    if across:
        parts.append(text(left, 12, across, "muted"))
    if down:
        y = top + len(rows) * high / 2
        parts.append(text(10, y, down, "muted", "middle", f' transform="rotate(-90 10 {y:.1f})"'))
    right = left + size * len(columns) + slant
    across_end = left + LETTER * len(across)
    return svg(max(right, across_end) + 4, top + high * len(rows) + 4, title, parts)


def reliability(bins: Sequence[Mapping[str, Number]], title: str, sure: str, right: str) -> Markup:
    """The share that is right against how sure the network is, and how many examples each bin has.

    Args:
        bins: `low`, `high`, `examples`, `confidence`, `accuracy` of each with examples.
        title: for screen readers.
        sure: the name of x.
        right: the name of y.
    """
    left, top, side, below = 46.0, 28.0, 250.0, 50.0
    to_x, to_y = scale(0, 1, left, left + side), scale(0, 1, top + side, top)
    marks = [0, 0.25, 0.5, 0.75, 1]
    parts = [text(0, 12, f"{right} by {sure}", "bold")]
    parts += [line((left, to_y(m)), (left + side, to_y(m)), "grid") for m in marks]
    parts += [text(left - 6, to_y(m) + 4, f"{m:g}", "muted", "end") for m in marks]
    parts.append(line((to_x(0), to_y(0)), (to_x(1), to_y(1)), "zero dashed"))
    base, most = top + side + 12 + below, max(each["examples"] for each in bins)
    for each in bins:
        x, y = to_x(each["confidence"]), to_y(each["accuracy"])
        hint = escape(
            f"{each['low']:.2f} to {each['high']:.2f}: {each['examples']:,} examples, mean {sure} "
            f"{each['confidence']:.3f}, {right} {each['accuracy']:.3f}"
        )
        low, high = wilson_interval(each["accuracy"], int(each["examples"]))
        parts.append(line((x, to_y(low)), (x, to_y(high)), "bar helps"))
        parts.append(f'<circle class="dot helps" cx="{x:.1f}" cy="{y:.1f}" r="4">')
        parts.append(f"<title>{hint}</title></circle>")
        wide, tall = to_x(each["high"]) - to_x(each["low"]), below * each["examples"] / most
        where = f'x="{to_x(each["low"]):.1f}" y="{base - tall:.1f}" width="{wide - 1:.1f}"'
        parts.append(f'<rect class="cell" {where} height="{max(tall, 0.5):.1f}"/>')
    parts.append(line((left, base), (left + side, base), "grid"))
    parts.append(text(left - 6, base - below + 10, f"{most:,}", "muted", "end"))
    parts += [text(to_x(m), base + 14, f"{m:g}", "muted", "middle") for m in marks]
    return svg(left + side + 12, base + 20, title, parts)
