"""What a search found: the winner, its files, and the pages, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mentee.api import export
from mentee.build.overrides import PythonOverrides
from mentee.errors import MenteeError
from mentee.experiments.comparison_report import interval, judged_ends
from mentee.experiments.distill.candidates import Candidate
from mentee.experiments.distill.halving import Trial
from mentee.experiments.jobs import Job, saved_jobs
from mentee.experiments.pages import write_comparison
from mentee.experiments.results import as_json
from mentee.experiments.rows import SCRATCH
from mentee.experiments.statistics import difference, noise
from mentee.report.blocks import Code, Head, Items, Section, Table, Text
from mentee.report.tables import without_empty_columns
from mentee.sharing.card import card

NAME = "distill"


def winner_of(jobs: Sequence[Job], compared: Mapping[str, Any]) -> dict[str, Any]:
    """The best row on validation, the run of its best seed, and what it is worth."""
    score = compared["score"]
    sign = 1 if score["higher_is_better"] else -1
    rows = [row for row in compared["rows"] if row["validation"]]
    row = max(rows, key=lambda each: sign * each["validation"]["mean"])
    others = [each for each in compared["rows"] if each["student"] == row["student"]]
    seeds = row["validation"]["scores"]
    seed = max(seeds, key=lambda each: sign * seeds[each])
    pair = (row["student"], row["method"])
    job = next(job for job in jobs if job.pair == pair and str(job.seed) == str(seed))
    return {
        "student": row["student"],
        "label": row["method"],
        "run": job.name,
        "parameters": job.read_summary()["parameters"]["student"],
        "to_kd": to_kd(row, others, score),
        "verdict": verdict(row, score),
    }


def exported_run(
    winner: Mapping[str, Any],
    final: Sequence[Trial],
    long: Sequence[Trial],
    score: Mapping[str, Any],
    epochs: Mapping[str, int],
) -> tuple[Job, dict[str, Any]]:
    """The winner's best run on validation, a long one or not, and the winner with it.

    Args:
        winner: of `winner_of`.
        final: the last runs.
        long: the long runs.
        score: that is compared.
        epochs: of the `final` runs and the `long` ones.
    """
    short = next(trial for trial in final if trial.name == winner["run"])
    best = min([short, *(each for each in long if each.main.finished)], key=Trial.rank)
    summary, part = best.main.read_summary(), score["part"]
    result = {
        **winner,
        "run": f"{best.main.path.parent.name}/{best.name}",
        "exported": {each: summary[each][score["name"]] for each in ("validation", part)},
    }
    if long:
        text = f"Trained for {epochs['long']} epochs in place of {epochs['final']}"
        if best is short:
            result["verdict"] += f" {text} it is no better on validation."
        else:
            value = result["exported"][part]
            result["verdict"] += f" {text}: {value:.4f}; this run is exported."
    return best.main, result


def to_kd(
    row: Mapping[str, Any], others: Sequence[Mapping[str, Any]], score: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The winner's difference to `kd` of the same student, paired by seed; None: there is none."""
    names = [each["method"] for each in others]
    if "kd" not in names or row["method"] == "kd":
        return None
    known = [(each[score["part"]] or {}).get("scores", {}) for each in others]
    seeds = dict.fromkeys(seed for each in known for seed in each)
    scores = np.array([[each.get(seed, np.nan) for seed in seeds] for each in known], np.float64)
    d = difference(scores, names.index(row["method"]), names.index("kd"), noise(scores))
    return as_json(d)


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


def fronts(
    rows: Sequence[Mapping[str, Any]], students: Sequence[Candidate]
) -> dict[str, list[str]]:
    """The runs that no run of an equally cheap or cheaper student beats, for each kind of cost.

    Of those that came to the end of the search; an equal score of a cheaper student is better.
    """
    done = [row for row in rows if not row["stopped"] and row["validation"] is not None]
    sign = -1 if done and done[0]["lower_is_better"] else 1
    result = dict[str, list[str]]()
    for kind in ("parameters", "bytes", "milliseconds"):
        costs = {each.name: getattr(each, kind) for each in students}
        front, best = result.setdefault(kind, []), -float("inf")
        for row in sorted(done, key=lambda r: (costs[r["student"]] or 0, -sign * r["validation"])):
            if sign * row["validation"] > best:
                front.append(row["run"])
                best = sign * row["validation"]
    return result


def shipped(
    run: Path, out: Path, overrides: PythonOverrides, say: Callable[[str], None]
) -> dict[str, Any]:
    """Export the winner as ONNX, with 8-bit integers beside it where that is worth it; its card.

    Returns:
        `file`, its `bytes`, how it `compared`, and of `int8` what was measured, or why there is
        none; or an `error`.
    """
    passed = {"data": overrides.data, "student": overrides.student}
    reasons = list[str]()
    content: dict[str, Any] = {}
    for int8 in (True, False):
        try:
            exported = export(run, out=out / "export", int8=int8, **passed)
        except MenteeError as error:
            reasons.append(str(error))
            continue
        size = exported.path.stat().st_size
        content = {"file": exported.path.name, "bytes": size, "compared": str(exported.parity)}
        quantized = exported.int8
        content["int8"] = asdict(quantized) if quantized else {"kept": False, "reason": reasons[0]}
        say(f"{exported.path}  compared: {exported.parity}")
        break
    else:
        say(f"not exported: {reasons[-1]}")
        content = {"error": reasons[-1]}
    card(run, out=out)
    return content


def write_pages(out: Path, content: Mapping[str, Any]) -> Path:
    """Write `distill.md`, `distill.svg` and `report.html`, each atomically; returns the last."""
    winner = content["winner"]
    title = f"{winner['student']}: {winner['label']}"
    head = Head(title, winner["verdict"], search_sections(content))
    jobs = saved_jobs(out / "final")
    return write_comparison(out, NAME, content["final"], jobs, head, "report.html")


def search_sections(content: Mapping[str, Any]) -> list[Section]:
    """The result, the data, what was tried and what was dropped when, and why."""
    winner, left = content["winner"], content["left_out"]
    reasons = [f"{s['name']}: {s['reason']}; {s['measured']}" for s in content["strategies"]]
    out = [f"{k}: {v}" for k, v in left.items() if k != "students"] + left["students"]
    look = content["look"] or ["Nothing stands in two parts, and no label is suspect."]
    return [
        Section(
            "Result",
            [
                Text(winner["verdict"]),
                Items(facts(content)),
                Code("mentee train recipe.yaml", "bash"),
            ],
        ),
        Section("The data", [Items(look)]),
        Section("The students", [Table(student_cells(content))]),
        Section("The search", [Text(course(content)), Table(search_cells(content))]),
        Section("Why these were tried", [Items(reasons)]),
        Section("Left out", [Items(out)] if out else []),
    ]


def facts(content: Mapping[str, Any]) -> list[str]:
    """Why the winner won, how sure that is, and its files."""
    winner, exported = content["winner"], content["export"]
    rows = content["final"]["rows"]
    means = {(r["student"], r["method"]): r["validation"]["mean"] for r in rows if r["validation"]}
    own = means[winner["student"], winner["label"]]
    ranked = sorted(means.values(), reverse=content["final"]["score"]["higher_is_better"])
    second = f", the next one {ranked[1]:.4f}" if len(ranked) > 1 else ""
    seeds = len(content["final"]["seeds"])
    lines = [
        f"The last runs ({seeds} seeds) have no better mean validation score: {own:.4f}{second}."
    ]
    if content["request"]["label_free"]:
        lines.append(
            "Labels trained the classifier alone, after the student, and chose; none is the same "
            "of an untrained student."
        )
    if winner["to_kd"]:
        lines.append(f"To kd: {interval(winner['to_kd'])}, 95 %, paired by seed.")
    if "error" in exported:
        return [*lines, f"It is not exported: {exported['error']}"]
    lines.append(
        f"File: `export/{exported['file']}`, {exported['bytes']:,} bytes ({exported['compared']}); "
        "its model card: `README.md`."
    )
    int8 = exported["int8"]
    kept = "`export/model-int8.onnx` is beside it" if int8["kept"] else "No 8-bit file"
    return [*lines, f"{kept}: {int8['reason']}."]


def student_cells(content: Mapping[str, Any]) -> list[list[str]]:
    """What each student costs."""
    cells = [["student", "parameters", "bytes", "ms, one example", "measured by"]]
    for each in content["students"]:
        time_of = "" if each["milliseconds"] is None else f"{each['milliseconds']:.3f}"
        sizes = [f"{each['parameters']:,}", f"{each['bytes']:,}"]
        cells.append([each["name"], *sizes, time_of, each["runtime"]])
    return cells


def course(content: Mapping[str, Any]) -> str:
    """How long the runs of each rung were, and what of it took how long."""
    lengths, parts = content["lengths"], content["seconds"]
    rungs = ", then ".join(map(str, lengths["rungs"]))
    long = f", the long one {lengths['long']}" if lengths.get("long") else ""
    took = ", ".join(f"{name} {ended - began:.0f} s" for name, (began, ended) in parts.items())
    return (
        f"Runs of {rungs} epochs, each with a whole schedule of the learning rate; the better "
        "third passes, and scratch, kd and each student once. A number is the validation score of "
        f"a run. The last runs have {lengths['final']} epochs{long}. Time: {took}."
    )


def search_cells(content: Mapping[str, Any]) -> list[list[str]]:
    """A line for each configuration: its scores by the length of the run, the last ones first."""
    fronts, rungs = content["pareto"], [str(each) for each in content["lengths"]["rungs"]]
    sign = -1 if content["final"]["score"]["higher_is_better"] else 1

    def order(each: Mapping[str, Any]) -> tuple[float, float]:
        return -each["epochs"], sign * (each["validation"] or 0)

    names = {"parameters": "smaller", "milliseconds": "faster"}
    head = ["student", "strategy", *(f"{each} epochs" for each in rungs), "dropped"]
    cells = [[*head, *(f"none {name} is better" for name in names.values())]]
    for each in sorted(content["search"], key=order):
        scores = [each["rungs"].get(rung) for rung in rungs]
        cells.append(
            [
                each["student"],
                each["strategy"],
                *("" if score is None else f"{score:.4f}" for score in scores),
                f"after {each['epochs']} epochs" if each["stopped"] else "",
                *("yes" if each["run"] in fronts[kind] else "" for kind in names),
            ]
        )
    return without_empty_columns(cells)
