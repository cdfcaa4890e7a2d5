"""What `compare.json` says, as text, Markdown and one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mentee.report import duration
from mentee.report.page import table

Entry = Mapping[str, Any]
LEGEND = """\
*To scratch*, *to best*: differences paired by seed, with 95 % intervals. HELPS and HURTS: the \
difference to scratch is more than chance over all rows together (p of the pooled variance, \
corrected by Holm, at most 0.04) and for the row alone (its own paired t-test, at most 0.04), \
so that a table of rows that do nothing has a false verdict in at most 5 % of cases. \
INCONCLUSIVE says neither that a row helps nor that it does not. The interval to scratch answers \
for its row alone and may leave out 0 where the verdict, which answers for all, is INCONCLUSIVE. \
The interval to the best counts in that the best was chosen (Tukey's studentized range)."""


def plain(content: Mapping[str, Any]) -> str:
    """A table for a terminal, with what a reader has to know below it."""
    parts = [lined(results(content, rows)) for rows in by_student(content).values()]
    notes = [f"note: {text}" for text in content["notes"]]
    return "\n\n".join([*parts, "\n".join([progress(content), *notes])])


def markdown(content: Mapping[str, Any]) -> str:
    """The text of `compare.md`."""
    parts = [f"# {title(content)}", progress(content), "![](compare.svg)"]
    for student, rows in by_student(content).items():
        parts += [f"## {student}", table(results(content, rows)), noise(content, student)]
        parts += ["### What it cost, and how like the teacher it is", table(costs(rows))]
    parts += ["## How to read it", LEGEND]
    if content["notes"]:
        parts += ["## Notes", "\n".join(f"- {text}" for text in content["notes"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def html(content: Mapping[str, Any], figure: str) -> str:
    """The text of `compare.html`: the same with the figure inside, and nothing from elsewhere."""
    parts = [f"<h1>{escape(title(content))}</h1>", f"<p>{escape(progress(content))}</p>", figure]
    for student, rows in by_student(content).items():
        parts += [f"<h2>{escape(student)}</h2>", cells(results(content, rows))]
        parts += [f"<p>{escape(noise(content, student))}</p>", cells(costs(rows))]
    parts += [f"<p>{escape(LEGEND.replace('*', ''))}</p>"]
    parts += ["<ul>", *(f"<li>{escape(text)}</li>" for text in content["notes"]), "</ul>"]
    style = (
        "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
        "table{border-collapse:collapse;display:block;overflow-x:auto}"
        "td,th{padding:.2em .6em;border-bottom:1px solid #ddd;text-align:left;white-space:nowrap}"
        "svg{max-width:100%}"
    )
    head = f'<meta charset="utf-8"><title>{escape(title(content))}</title><style>{style}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(
        [*parts, "</body></html>\n"]
    )


def title(content: Mapping[str, Any]) -> str:
    """What the comparison is of."""
    rows, seeds = len(content["rows"]), len(content["seeds"])
    return f"{rows} row{'s' * (rows != 1)}, {seeds} seed{'s' * (seeds != 1)}"


def progress(content: Mapping[str, Any]) -> str:
    """How far it is, and what chose."""
    runs, score = content["runs"], content["score"]
    said = [f"{runs['finished']} of {runs['of']} runs finished."]
    if score is not None:
        less = "" if score.get("higher_is_better", True) else ", lower is better"
        said.append(f"Score: {score['name']} on {score['part']}{less}.")
    if content["ordered_by"] == "validation":
        said.append("Order and best row are chosen on validation.")
    if score is not None and score["part"] == "test":
        said.append("The test part was read once by each run.")
    return " ".join(said)


def noise(content: Mapping[str, Any], student: str) -> str:
    """How far scores vary by chance."""
    said = content["students"][student]
    if not said["freedom"]:
        return ""
    return (
        f"A score varies by {number(said['deviation'])} (standard deviation, {said['freedom']} "
        "degrees of freedom) when neither row nor seed changes."
    )


def by_student(content: Mapping[str, Any]) -> dict[str, list[Entry]]:
    """The rows of each student."""
    found: dict[str, list[Entry]] = {}
    for entry in content["rows"]:
        found.setdefault(entry["student"], []).append(entry)
    return found


def results(content: Mapping[str, Any], rows: Sequence[Entry]) -> list[list[str]]:
    """The cells of how good the rows are."""
    lines = [["row", "validation", "test", "95 %", "to scratch", "verdict", "to best"]]
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
    return without_empty(lines)


def costs(rows: Sequence[Entry]) -> list[list[str]]:
    """The cells of what the rows took, and what else is known of them."""
    names = list(dict.fromkeys(name for entry in rows for name in entry["out_of_domain"]))
    head = ["row", "seeds", "agrees with teacher", "ece", *(f"lost on {name}" for name in names)]
    lines = [[*head, "s per epoch", "time", "memory", "GPU", "parameters", "heads"]]
    for entry in rows:
        lost = [entry["out_of_domain"].get(name, {}).get("drop") for name in names]
        lines.append(
            [
                entry["method"],
                ", ".join(map(str, entry["seeds"])),
                number(entry["agreement"]),
                number(entry["ece"]),
                *(number(value) for value in lost),
                "" if entry["seconds_per_epoch"] is None else f"{entry['seconds_per_epoch']:.2f}",
                "" if entry["seconds"] is None else duration(entry["seconds"]),
                megabytes(entry["memory"]),
                megabytes(entry["memory_gpu"]),
                "" if entry["parameters"] is None else f"{entry['parameters']:,.0f}",
                "" if entry["heads"] is None else f"{entry['heads']:,.0f}",
            ]
        )
    return without_empty(lines)


def outcome(entry: Entry, seeds: Sequence[int]) -> str:
    """The verdict, or what became of a row that has none."""
    if entry["verdict"] is not None:
        few = len(entry["seeds"]) < len(seeds)
        return str(entry["verdict"]) + f" ({len(entry['seeds'])} seeds)" * few
    if entry["method"] == "none":
        return "scratch"
    if not entry["seeds"]:
        # The reason is among the notes.
        return "; ".join(dict.fromkeys(t.partition(":")[0] for t in entry["missing"].values()))
    return "no verdict yet" if len(seeds) > 1 else "no verdict"


def without_empty(lines: list[list[str]]) -> list[list[str]]:
    """The columns in which there is anything."""
    kept = [i for i in range(len(lines[0])) if any(line[i] for line in lines[1:])]
    return [[line[i] for i in kept] for line in lines]


def lined(lines: Sequence[Sequence[str]]) -> str:
    """Cells below each other, as plain text."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def cells(lines: Sequence[Sequence[str]]) -> str:
    """Cells as a table of HTML, the first line its head."""
    head, *rows = [
        "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in line)
        for tag, line in zip(["th", *["td"] * (len(lines) - 1)], lines, strict=True)
    ]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in [head, *rows]) + "</table>"


def spread(score: Mapping[str, Any] | None) -> str:
    """A mean with its sample deviation."""
    if score is None:
        return ""
    deviation = score["deviation"]
    return f"{score['mean']:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def interval(found: Mapping[str, Any] | None) -> str:
    """A difference with its interval.

    Example:
        >>> interval({"difference": 0.01, "low": -0.002, "high": 0.022})
        '+0.0100 [-0.0020, +0.0220]'
    """
    if found is None or found["difference"] is None:
        return ""
    text = f"{found['difference']:+.4f}"
    return text if found["low"] is None else f"{text} [{found['low']:+.4f}, {found['high']:+.4f}]"


def number(value: float | None) -> str:
    """A number, or nothing."""
    return "" if value is None else f"{value:.4f}"


def megabytes(value: float | None) -> str:
    """Bytes in millions."""
    return "" if value is None else f"{value / 1e6:,.0f} MB"
