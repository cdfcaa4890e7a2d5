"""`compare.json` as plain text, Markdown, a figure, and one self-contained page of HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mentee import report
from mentee.report import align, duration, teacher_cells
from mentee.report.blocks import Figure, Figures, Head, Items, Page, Section, Table, Text
from mentee.report.plots import Estimate, forest
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
FIGURE = (
    "Differences to scratch, with the interval that is judged. Filled dots: HELPS (blue), HURTS "
    "(orange)."
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


def markdown(content: Mapping[str, Any], name: str, head: Head | None = None) -> str:
    """The text of `compare.md`, beside `compare.svg`."""
    before = head.sections if head else []
    text = head.title if head else title(content)
    return report.markdown(text, [*before, *sections(content, name)])


def sections(content: Mapping[str, Any], name: str) -> list[Section]:
    """All that is known of a comparison; `name` is that of its files."""
    plot, notes = figure(content), content["notes"]
    plots = [Figures([plot], FIGURE, f"{name}.svg")] if plot else []
    parts = [
        Section("", [Text(progress(content)), *plots]),
        Section("Notes", [Items(notes)] if notes else []),
    ]
    for student, rows in by_student(content).items():
        chance = [Text(text)] if (text := noise(content, student)) else []
        domains = domain_cells(content, rows)
        costs = "Costs, and agreement with the teacher"
        parts += [
            Section(student, [Table(score_cells(content, rows)), *chance]),
            Section("Other domains", [Table(domains)] if domains else [], 3),
            Section(costs, [Table(cost_cells(rows))], 3),
        ]
    teachers = teacher_cells(content.get("teachers") or {})
    parts.append(Section("The teacher's own scores", [Table(teachers)] if teachers else []))
    return [*parts, Section("How to read it", [Text(LEGEND)])]


def figure(content: Mapping[str, Any]) -> Markup:
    """The differences to scratch: a dot and an interval for each row; empty: there is none."""
    rows = list[Estimate]()
    for student, entries in by_student(content).items():
        head = student if len(content["students"]) > 1 else ""
        for entry in entries:
            gain = entry["to_scratch"]
            if gain is None or gain["difference"] is None:
                continue
            ends = judged_ends(gain)
            verdict = str(entry["verdict"] or "").lower()
            style = verdict if verdict in ("helps", "hurts") else "neutral"
            name = f"{entry['method']}{' (best)' * entry['best']}"
            rows.append(Estimate(name, gain["difference"], *ends, style, verdict, head))
            head = ""
    score = content["score"]
    if not rows or score is None:
        return Markup("")
    lower = "" if score.get("higher_is_better", True) else " (lower is better)"
    return forest(rows, f"{score['part']} {score['name']}{lower}: difference to scratch")


def page(
    content: Mapping[str, Any], name: str, more: Sequence[Section] = (), head: Head | None = None
) -> str:
    """One page of HTML with the figure inside, and no outside resources.

    Args:
        content: of `compare.json`.
        name: of the file: `compare`, `sweep` or `distill`.
        more: further sections: recipe, environment, citation.
        head: of something else that ends in a comparison.
    """
    kind = {"compare": "Comparison", "distill": "Search"}.get(name, "Sweep")
    students = ", ".join(content["students"])
    head = head or Head(f"{students}: {title(content)}", verdict_text(content), [])
    parts = [*head.sections, *sections(content, name), *more]
    return report.html(Page(kind, head.title, [], head.verdict, [*key_figures(content)], parts))


def judged_ends(difference: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The interval that is judged; of a comparison by an older version that of 95 %."""
    low, high = difference.get("judged") or (difference["low"], difference["high"])
    return low, high


def verdict_text(content: Mapping[str, Any]) -> str:
    """Which methods help, which hurt, and of which that is not known."""
    parts = []
    for verdict in ("HELPS", "HURTS", "INCONCLUSIVE"):
        names = [
            f"{e['student']} {e['method']}" if len(content["students"]) > 1 else e["method"]
            for e in content["rows"]
            if e["verdict"] == verdict
        ]
        if names:
            parts.append(f"{verdict.capitalize()}: {', '.join(names)}.")
    return " ".join(parts) or "There is no verdict yet."


def key_figures(content: Mapping[str, Any]) -> Iterator[Figure]:
    """For each student its best method and scratch, and how many runs are finished."""
    score = content["score"]
    for rows in by_student(content).values() if score else ():
        for entry in rows:
            main = entry[score["part"]]
            if main is None or not (entry["best"] or entry["method"] == "none"):
                continue
            who = entry["student"] if len(content["students"]) > 1 else ""
            best = "best on validation" * entry["best"]
            half = main["half"] if len(main["scores"]) > 2 else None
            gain = entry["to_scratch"]
            notes = [
                f"{score['part']} {score['name']}{'' if half is None else f' ± {half:.4f}'}",
                best,
                "" if gain is None else f"{interval(gain)} to scratch",
            ]
            method = "scratch" if entry["method"] == "none" else entry["method"]
            note = ", ".join(filter(None, notes))
            yield Figure(f"{who} {method}".strip(), f"{main['mean']:.4f}", note)
    runs, seeds = content["runs"], len(content["seeds"])
    note = f"{seeds} seed{'s' * (seeds != 1)} of each method"
    yield Figure("runs finished", f"{runs['finished']:,} of {runs['of']:,}", note)


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
            "" if entry["memory"] is None else f"{entry['memory'] / 1e6:,.0f} MB",
            "" if entry["memory_gpu"] is None else f"{entry['memory_gpu'] / 1e6:,.0f} MB",
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
