"""What a search found: the winner, in a sentence, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee import files, report
from mentee.experiments.comparison_report import figure, judged_ends, key_figures, sections
from mentee.experiments.distill.candidates import Candidate
from mentee.experiments.jobs import Job
from mentee.experiments.pages import setup_sections
from mentee.experiments.rows import SCRATCH
from mentee.report.blocks import Code, Items, Page, Section, Table, Text
from mentee.report.svg import standalone

NAME = "distill"


def winner_of(jobs: Sequence[Job], compared: Mapping[str, Any]) -> dict[str, Any]:
    """The best row on validation, the run of its best seed, and what it is worth."""
    score = compared["score"]
    sign = 1 if score["higher_is_better"] else -1
    rows = [row for row in compared["rows"] if row["validation"]]
    row = max(rows, key=lambda each: sign * each["validation"]["mean"])
    seeds = row["validation"]["scores"]
    seed = max(seeds, key=lambda each: sign * seeds[each])
    pair = (row["student"], row["method"])
    job = next(job for job in jobs if job.pair == pair and str(job.seed) == str(seed))
    return {
        "student": row["student"],
        "label": row["method"],
        "run": job.name,
        "parameters": job.read_summary()["parameters"]["student"],
        "verdict": verdict(row, score),
    }


def verdict(row: Mapping[str, Any], score: Mapping[str, Any]) -> str:
    """The winner and its score against scratch, in a sentence."""
    part = row[score["part"]]
    name = f"{score['part']} {score['name']}"
    text = f"{row['student']} by {row['method']}: {name} {part['mean']:.4f}"
    if part["half"] is not None and len(part["scores"]) > 2:
        text += f" ± {part['half']:.4f}"
    if row["method"] == SCRATCH:
        return f"{text}. No transfer was better than the labels alone."
    gain = row["to_scratch"]
    if gain is None or gain["difference"] is None:
        return f"{text}."
    low, high = judged_ends(gain)
    interval = "" if low is None else f" [{low:+.4f}, {high:+.4f}]"
    judged = row["verdict"] or "no verdict, which takes two seeds"
    return f"{text}, {gain['difference']:+.4f}{interval} to scratch: {judged}."


def pareto(rows: Sequence[Mapping[str, Any]], students: Sequence[Candidate]) -> list[str]:
    """The runs of the search that no run of an equally small or smaller student beats.

    Of those that came to their end; an equal score of a smaller student is better.
    """
    size = {each.name: each.parameters for each in students}
    done = [row for row in rows if not row["stopped"] and row["validation"] is not None]
    sign = -1 if done and done[0]["lower_is_better"] else 1
    front, best = list[str](), -float("inf")
    for row in sorted(done, key=lambda r: (size[r["student"]], -sign * r["validation"])):
        if sign * row["validation"] > best:
            front.append(row["run"])
            best = sign * row["validation"]
    return front


def write_pages(out: Path, content: Mapping[str, Any], jobs: Sequence[Job]) -> None:
    """Write `distill.md`, `distill.svg` and `report.html`, each atomically."""
    whole = [*search_sections(content), *sections(content["final"], NAME)]
    if plot := figure(content["final"]):
        files.write_text(out / f"{NAME}.svg", standalone(plot))
    title = f"{content['winner']['student']}: {content['winner']['label']}"
    files.write_text(out / f"{NAME}.md", report.markdown(title, whole))
    page = Page(
        "Search",
        title,
        [],
        content["winner"]["verdict"],
        [*key_figures(content["final"])],
        [*whole, *setup_sections(jobs)],
    )
    files.write_text(out / "report.html", report.html(page))


def search_sections(content: Mapping[str, Any]) -> list[Section]:
    """Verdict, what was found in the data, what was tried and what was dropped when."""
    students = {each["name"]: each for each in content["students"]}
    head = [
        "student",
        "parameters",
        "strategy",
        "validation",
        "epochs",
        "stopped",
        "none smaller is better",
    ]
    higher = content["final"]["score"]["higher_is_better"]

    def order(each: Mapping[str, Any]) -> tuple[bool, float]:
        return each["stopped"], (each["validation"] or 0) * (-1 if higher else 1)

    entries = sorted(content["search"], key=order)
    cells = [
        [
            each["student"],
            f"{students[each['student']]['parameters']:,}",
            each["strategy"],
            "" if each["validation"] is None else f"{each['validation']:.4f}",
            f"{each['epochs']} of {each['of']}",
            "yes" if each["stopped"] else "",
            "yes" if each["run"] in content["pareto"] else "",
        ]
        for each in entries
    ]
    reasons = [f"{s['name']}: {s['reason']}; {s['measured']}" for s in content["strategies"]]
    left = [f"{k}: {v}" for k, v in content["left_out"].items() if k != "students"]
    left += content["left_out"]["students"]
    exported = content["export"]
    file = exported.get("file")
    saved = f"`export/{file}` ({exported['compared']})" if file else exported["error"]
    again = "mentee train recipe.yaml"
    return [
        Section(
            "Result",
            [Text(content["winner"]["verdict"]), Text(f"File: {saved}"), Code(again, "bash")],
        ),
        Section("The data", [Items(content["look"])] if content["look"] else []),
        Section("The search", [Table([head, *cells])]),
        Section("Why these were tried", [Items(reasons)]),
        Section("Left out", [Items(left)] if left else []),
    ]
