"""`compare.json` as plain text, Markdown, and one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mentee.experiments.comparison_figure import judged_ends
from mentee.report import align, duration, html_table, markdown_table, teacher_cells
from mentee.report.tables import spread as spread_of
from mentee.report.tables import without_empty_columns

Entry = Mapping[str, Any]
LEGEND = """\
*To scratch*, *to best*: differences paired by seed. HELPS and HURTS: the difference to scratch is \
more than chance over all methods together (p of the pooled variance, corrected by Holm, at most \
0.04) and for the method alone (its own paired t-test, at most 0.04), so that a table of methods \
without any effect has a false verdict in at most 5 % of cases. INCONCLUSIVE says neither that a \
method helps nor that it does not. The interval to scratch is the one that is judged: it leaves \
out 0 exactly where a verdict is given, so a larger difference whose interval is wider may be \
INCONCLUSIVE beside a smaller one that HELPS. The interval to the best, 95 %, allows for the best \
having been chosen (Tukey's studentized range). *±*: the standard deviation over seeds, *95 %*: of \
the mean of the method's own seeds; with two seeds both scores stand there instead. Other domains \
are judged in the same way, each for itself."""
STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "td,th{padding:.2em .6em;border-bottom:1px solid #ddd;text-align:left;white-space:nowrap}"
    "svg{max-width:100%}"
)


def plain(content: Mapping[str, Any]) -> str:
    """A table for a terminal, with the notes below it."""
    parts = list[str]()
    for rows in by_student(content).values():
        parts += map(align, filter(None, [score_cells(content, rows), domain_cells(content, rows)]))
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
        if domains := domain_cells(content, rows):
            parts += ["### Other domains", markdown_table(domains)]
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
        parts += [f"<p>{escape(noise(content, student))}</p>"]
        parts += map(html_table, filter(None, [domain_cells(content, rows), cost_cells(rows)]))
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
    if content.get("majority") is not None:
        share = f"{content['majority']:.4f}"
        sentences.append(f"Always predicting the most frequent class: accuracy {share}.")
    if content["ordered_by"] == "validation":
        sentences.append("Order and best method are chosen on validation.")
    if score is not None and score["part"] == "test":
        sentences.append("The test part was read once by each run.")
    return " ".join(sentences)


def noise(content: Mapping[str, Any], student: str) -> str:
    """How far scores vary by chance."""
    summary, texts = content["students"][student], []
    score = content["score"] or {}
    if summary["freedom"]:
        texts.append(
            f"A score varies by {number(summary['deviation'])} (standard deviation, "
            f"{summary['freedom']} degrees of freedom) when neither method nor seed changes."
        )
    needed = summary.get("seeds_needed")
    if needed is not None and summary["freedom"] and score.get("higher_is_better", True):
        more = " or more" * (needed >= 1000)
        texts.append(f"To see a difference of 0.02 takes about {needed:,}{more} seeds.")
    if examples := summary.get("examples_needed"):
        texts.append(
            f"To see it by two sets of {score['part']} examples takes about {examples:,} of them "
            f"(there are {summary['examples']:,}); fewer where both err on the same ones."
        )
    return " ".join(texts)


def by_student(content: Mapping[str, Any]) -> dict[str, list[Entry]]:
    """The rows of each student."""
    rows: dict[str, list[Entry]] = {}
    for entry in content["rows"]:
        rows.setdefault(entry["student"], []).append(entry)
    return rows


def score_cells(content: Mapping[str, Any], rows: Sequence[Entry]) -> list[list[str]]:
    """The cells of scores, differences and verdicts."""
    score = content["score"] or {"part": "test", "name": ""}
    balanced = "balanced" if score["name"] == "accuracy" else ""
    head = ["method", "validation", "test", "95 %", balanced, "to scratch", "verdict", "to best"]
    lines = [head]
    for entry in rows:
        main = entry[score["part"]]
        known = main is not None and len(main["scores"]) > 2
        half = main["half"] if known else None
        lines.append(
            [
                entry["method"],
                spread(entry["validation"]),
                spread(entry["test"]),
                "" if half is None else f"± {half:.4f}",
                number(entry.get("balanced_accuracy")) if balanced else "",
                interval(entry["to_scratch"]),
                outcome(entry, content["seeds"]),
                "best" if entry["best"] else interval(entry["to_best"]),
            ]
        )
    return without_empty_columns(lines)


def domain_cells(content: Mapping[str, Any], rows: Sequence[Entry]) -> list[list[str]]:
    """A line for each other domain and method; none where there are no domains."""
    lines = [["on", "method", "score", "lost", "to scratch", "verdict"]]
    for name in dict.fromkeys(name for entry in rows for name in entry["out_of_domain"]):
        for entry in rows:
            each = entry["out_of_domain"].get(name)
            if each is None or each["score"] is None:
                continue
            deviation = each.get("deviation")
            known = deviation is not None and len(entry["seeds"]) > 2
            lines.append(
                [
                    name,
                    entry["method"],
                    number(each["score"]) + (f" ± {deviation:.4f}" if known else ""),
                    number(each["drop"]),
                    interval(each.get("to_scratch")),
                    each.get("verdict") or ("scratch" if entry["method"] == "none" else ""),
                ]
            )
    return lines if len(lines) > 1 else []


def cost_cells(rows: Sequence[Entry]) -> list[list[str]]:
    """The cells of costs, and calibration."""
    head = ["method", "seeds", "agrees with teacher", "ece"]
    lines = [[*head, "s per epoch", "time", "memory", "GPU", "parameters", "heads"]]
    lines += [
        [
            entry["method"],
            ", ".join(map(str, entry["seeds"])),
            number(entry["agreement"]),
            number(entry["ece"]),
            "" if entry["seconds_per_epoch"] is None else f"{entry['seconds_per_epoch']:.2f}",
            "" if entry["seconds"] is None else duration(entry["seconds"]),
            megabytes(entry["memory"]),
            megabytes(entry["memory_gpu"]),
            "" if entry["parameters"] is None else f"{entry['parameters']:,.0f}",
            "" if entry["heads"] is None else f"{entry['heads']:,.0f}",
        ]
        for entry in rows
    ]
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
    """The mean over seeds with their deviation; of two seeds both."""
    return "" if score is None else spread_of(list(score["scores"].values()))


def interval(difference: Mapping[str, Any] | None) -> str:
    """A difference with the interval that is judged, else that of 95 %.

    Example:
        >>> interval({"difference": 0.01, "low": -0.002, "high": 0.022})
        '+0.0100 [-0.0020, +0.0220]'
    """
    if difference is None or difference["difference"] is None:
        return ""
    low, high = judged_ends(difference)
    return f"{difference['difference']:+.4f}" + (
        "" if low is None else f" [{low:+.4f}, {high:+.4f}]"
    )


def number(value: float | None) -> str:
    """Four decimals; empty for None."""
    return "" if value is None else f"{value:.4f}"


def megabytes(value: float | None) -> str:
    """Bytes in millions; empty for None."""
    return "" if value is None else f"{value / 1e6:,.0f} MB"
