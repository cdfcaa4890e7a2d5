"""`compare.json` as plain text, Markdown, one self-contained HTML page, and an SVG figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import floor, log10
from typing import Any

from mentee.report import align, duration, html_table, markdown_table, teacher_cells
from mentee.report.tables import without_empty_columns

Entry = Mapping[str, Any]
LEGEND = """\
*To scratch*, *to best*: differences paired by seed, with 95 % intervals. HELPS and HURTS: the \
difference to scratch is more than chance over all methods together (p of the pooled variance, \
corrected by Holm, at most 0.04) and for the method alone (its own paired t-test, at most 0.04), \
so that a table of methods without any effect has a false verdict in at most 5 % of cases. \
INCONCLUSIVE says neither that a method helps nor that it does not. The interval to scratch is for \
its method alone and may leave out 0 where the verdict, which is corrected for all, is \
INCONCLUSIVE. The interval to the best allows for the best having been chosen (Tukey's studentized \
range)."""
STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "td,th{padding:.2em .6em;border-bottom:1px solid #ddd;text-align:left;white-space:nowrap}"
    "svg{max-width:100%}"
)
ROW, LETTER, WIDTH, RIGHT, TOP = 20.0, 7.0, 460.0, 130.0, 34.0
"""Pixels: height of a row, room for a letter, width of the plot, for verdicts, for the axis."""
COLORS = {"HELPS": "#1a7f37", "HURTS": "#cf222e"}
GRAY = "#6e7781"


def plain(content: Mapping[str, Any]) -> str:
    """A table for a terminal, with the notes below it."""
    parts = [align(score_cells(content, rows)) for rows in by_student(content).values()]
    if teachers := teacher_cells(content.get("teachers") or {}):
        parts.append(align(teachers))
    notes = [f"note: {text}" for text in content["notes"]]
    return "\n\n".join([*parts, "\n".join([progress(content), *notes])])


def markdown(content: Mapping[str, Any]) -> str:
    """The text of `compare.md`."""
    parts = [f"# {title(content)}", progress(content), "![](compare.svg)"]
    for student, rows in by_student(content).items():
        scores = markdown_table(score_cells(content, rows))
        parts += [f"## {student}", scores, noise(content, student)]
        parts += ["### Costs, and agreement with the teacher", markdown_table(cost_cells(rows))]
    if teachers := teacher_cells(content.get("teachers") or {}):
        parts += ["## The teacher's own scores", markdown_table(teachers)]
    parts += ["## How to read it", LEGEND]
    if content["notes"]:
        parts += ["## Notes", "\n".join(f"- {text}" for text in content["notes"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def html(content: Mapping[str, Any], figure: str) -> str:
    """The text of `compare.html`: the same with the figure inside, and no outside resources."""
    parts = [f"<h1>{escape(title(content))}</h1>", f"<p>{escape(progress(content))}</p>", figure]
    for student, rows in by_student(content).items():
        parts += [f"<h2>{escape(student)}</h2>", html_table(score_cells(content, rows))]
        parts += [f"<p>{escape(noise(content, student))}</p>", html_table(cost_cells(rows))]
    if teachers := teacher_cells(content.get("teachers") or {}):
        parts += ["<h2>The teacher's own scores</h2>", html_table(teachers)]
    parts += [f"<p>{escape(LEGEND.replace('*', ''))}</p>"]
    parts += ["<ul>", *(f"<li>{escape(text)}</li>" for text in content["notes"]), "</ul>"]
    head = f'<meta charset="utf-8"><title>{escape(title(content))}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(
        [*parts, "</body></html>\n"]
    )


def title(content: Mapping[str, Any]) -> str:
    """How many rows and seeds."""
    rows, seeds = len(content["rows"]), len(content["seeds"])
    return f"{rows} method{'s' * (rows != 1)}, {seeds} seed{'s' * (seeds != 1)}"


def progress(content: Mapping[str, Any]) -> str:
    """How many runs are finished, and which score compares and chooses."""
    runs, score = content["runs"], content["score"]
    sentences = [f"{runs['finished']} of {runs['of']} runs finished."]
    if score is not None:
        lower = "" if score.get("higher_is_better", True) else ", lower is better"
        sentences.append(f"Score: {score['name']} on {score['part']}{lower}.")
    if content["ordered_by"] == "validation":
        sentences.append("Order and best method are chosen on validation.")
    if score is not None and score["part"] == "test":
        sentences.append("The test part was read once by each run.")
    return " ".join(sentences)


def noise(content: Mapping[str, Any], student: str) -> str:
    """How far scores vary by chance."""
    summary = content["students"][student]
    if not summary["freedom"]:
        return ""
    return (
        f"A score varies by {number(summary['deviation'])} (standard deviation, "
        f"{summary['freedom']} degrees of freedom) when neither method nor seed changes."
    )


def by_student(content: Mapping[str, Any]) -> dict[str, list[Entry]]:
    """The rows of each student."""
    rows: dict[str, list[Entry]] = {}
    for entry in content["rows"]:
        rows.setdefault(entry["student"], []).append(entry)
    return rows


def score_cells(content: Mapping[str, Any], rows: Sequence[Entry]) -> list[list[str]]:
    """The cells of scores, differences and verdicts."""
    lines = [["method", "validation", "test", "95 %", "to scratch", "verdict", "to best"]]
    for entry in rows:
        main = entry[(content["score"] or {"part": "test"})["part"]]
        half = None if main is None else main["half"]
        lines.append(
            [
                entry["method"],
                spread(entry["validation"]),
                spread(entry["test"]),
                "" if half is None else f"± {half:.4f}",
                interval(entry["to_scratch"]),
                outcome(entry, content["seeds"]),
                "best" if entry["best"] else interval(entry["to_best"]),
            ]
        )
    return without_empty_columns(lines)


def cost_cells(rows: Sequence[Entry]) -> list[list[str]]:
    """The cells of costs, calibration, and scores in other domains."""
    names = list(dict.fromkeys(name for entry in rows for name in entry["out_of_domain"]))
    head = ["method", "seeds", "agrees with teacher", "ece", *(f"drop on {name}" for name in names)]
    lines = [[*head, "s per epoch", "time", "memory", "GPU", "parameters", "heads"]]
    for entry in rows:
        drops = [entry["out_of_domain"].get(name, {}).get("drop") for name in names]
        lines.append(
            [
                entry["method"],
                ", ".join(map(str, entry["seeds"])),
                number(entry["agreement"]),
                number(entry["ece"]),
                *(number(value) for value in drops),
                "" if entry["seconds_per_epoch"] is None else f"{entry['seconds_per_epoch']:.2f}",
                "" if entry["seconds"] is None else duration(entry["seconds"]),
                megabytes(entry["memory"]),
                megabytes(entry["memory_gpu"]),
                "" if entry["parameters"] is None else f"{entry['parameters']:,.0f}",
                "" if entry["heads"] is None else f"{entry['heads']:,.0f}",
            ]
        )
    return without_empty_columns(lines)


def outcome(entry: Entry, seeds: Sequence[int]) -> str:
    """The verdict, or the state of a row that has none."""
    if entry["verdict"] is not None:
        fewer = len(entry["seeds"]) < len(seeds)
        return str(entry["verdict"]) + f" ({len(entry['seeds'])} seeds)" * fewer
    if entry["method"] == "none":
        return "scratch"
    if not entry["seeds"]:
        # The reason is among the notes.
        return "; ".join(dict.fromkeys(t.partition(":")[0] for t in entry["missing"].values()))
    return "no verdict yet" if len(seeds) > 1 else "no verdict"


def spread(score: Mapping[str, Any] | None) -> str:
    """A mean with its sample deviation."""
    if score is None:
        return ""
    deviation = score["deviation"]
    return f"{score['mean']:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def interval(difference: Mapping[str, Any] | None) -> str:
    """A difference with its interval.

    Example:
        >>> interval({"difference": 0.01, "low": -0.002, "high": 0.022})
        '+0.0100 [-0.0020, +0.0220]'
    """
    if difference is None or difference["difference"] is None:
        return ""
    low, high = difference["low"], difference["high"]
    return f"{difference['difference']:+.4f}" + (
        "" if low is None else f" [{low:+.4f}, {high:+.4f}]"
    )


def number(value: float | None) -> str:
    """Four decimals; empty for None."""
    return "" if value is None else f"{value:.4f}"


def megabytes(value: float | None) -> str:
    """Bytes in millions; empty for None."""
    return "" if value is None else f"{value / 1e6:,.0f} MB"


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
    keys = ("low", "high", "difference")
    ends = [value for e in rows for key in keys if (value := e["to_scratch"][key]) is not None]
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
        name = f"{score['part']} {score['name']}{lower}: difference to scratch, 95 %"
        axis.append(text(left, 12.0, name))
    size = f"{left + WIDTH + RIGHT:g}", f"{bottom + 8:g}"
    head = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
    head += f' role="img" width="{size[0]}" height="{size[1]}" viewBox="0 0 {" ".join(size)}">'
    white = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, white, *axis, *parts, "</svg>\n"])


def label(entry: Entry) -> str:
    """The name before a row of the figure."""
    return f"{entry['method']}{' (best)' if entry['best'] else ''}"


def draw_row(entry: Entry, x: Callable[[float], float], left: float, y: float) -> str:
    """Name, interval, dot and verdict of one row."""
    difference, verdict = entry["to_scratch"], entry["verdict"] or ""
    color = COLORS.get(verdict, GRAY)
    parts = [text(left - 12, y + 4, label(entry), anchor="end")]
    if difference["low"] is not None:
        parts.append(line(x(difference["low"]), y, x(difference["high"]), y, color, width=2))
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
