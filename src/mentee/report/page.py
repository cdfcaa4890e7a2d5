"""What a report says of a run: sections made of the files of its folder alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mentee.report.blocks import Block, Code, Items, Section, Table, Text, markdown
from mentee.report.classes import class_section, confusions
from mentee.report.epochs import monitor_blocks, training_blocks
from mentee.report.progress import duration
from mentee.report.tables import (
    LOSS_LEGEND,
    benchmark_cells,
    loss_cells,
    number,
    probe_cells,
    probe_legend,
    short,
    without_empty_columns,
)
from mentee.report.teachers import how_many, interval_text, teacher_notes, teachers_of


@dataclass(frozen=True)
class RunFiles:
    """The content of a run's folder.

    Attributes:
        summary: of `summary.json`.
        metrics: the lines of `metrics.jsonl`.
        recipe: the text of `recipe.yaml`.
        probe: of `probe.json`; None: nothing was probed.
        environment: of `environment.json`.
        diagnostics: of `diagnostics.json`.
        benchmark: of `benchmark.json`; None: nothing was measured.
        scratch: of `summary.json` of the run from scratch with the same seed; None: not known.
    """

    summary: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]] = ()
    recipe: str = ""
    probe: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    scratch: Mapping[str, Any] | None = None
    benchmark: Mapping[str, Any] | None = None


def page(
    summary: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    recipe: str,
    probe: Mapping[str, Any] | None = None,
    benchmark: Mapping[str, Any] | None = None,
) -> str:
    """`report.md`: result, scores, costs and course of a run.

    It is made of the contents of `summary.json`, `metrics.jsonl`, `recipe.yaml`, `probe.json` and
    `benchmark.json`.
    """
    run = RunFiles(summary, metrics, recipe, probe, benchmark=benchmark)
    return markdown(run_title(summary), sections(run))


def run_title(summary: Mapping[str, Any]) -> str:
    """Student and method."""
    return f"{summary['student']['network']}, method {summary['method']}"


def sections(run: RunFiles) -> list[Section]:
    """All that is known of a run, in tables and sentences."""
    summary, metrics, probe = run.summary, run.metrics, run.probe
    details = summary.get("details") or {}
    part = scored_part(summary)
    probes = [each for each in [probe, *probe.get("others", [])] if each["rows"]] if probe else []
    notes = [*teacher_notes(teachers_of(summary)), *(summary.get("warnings") or [])]
    notes += summary.get("notes") or []
    notes += [
        f"{part}: {name} is {score}, which is no score"
        for part in ("test", "validation")
        for name, score in (summary.get(part) or {}).items()
        if isinstance(score, float) and not math.isfinite(score)
    ]
    return [
        Section("", [Text(result_text(summary))]),
        Section("Scores", _scores(summary)),
        Section("Notes", [Items(notes)] if notes else []),
        Section("Training", training_blocks(summary, metrics)),
        Section("Quality of the embedding", monitor_blocks(summary, metrics)),
        Section("Losses at the start", _losses(summary) if summary.get("measured") else []),
        Section("Confusions", confusions(details[part]) if part else []),
        Section("Classes", class_section(part, details[part]) if part else []),
        Section(
            "Scores with few labels", [block for each in probes for block in probe_blocks(each)]
        ),
        Section("Similarity to each teacher", _similarity(summary.get("kept") or {})),
        Section("Out of domain", _domains(summary) if summary.get("out_of_domain") else []),
        Section("Data", _data(summary)),
        Section("Costs", _costs(summary)),
        Section("Costs of a prediction", benchmark_blocks(run.benchmark) if run.benchmark else []),
        Section("Recipe", [Code(run.recipe, "yaml", folded="recipe.yaml")]),
    ]


def scored_part(summary: Mapping[str, Any]) -> str:
    """The part whose classes are shown: test, else validation; "" without details."""
    details = summary.get("details") or {}
    return next((name for name in ("test", "validation") if details.get(name)), "")


def benchmark_blocks(content: Mapping[str, Any]) -> list[Block]:
    """What the student and its teacher cost in each runtime."""
    about = content["about"]
    text = (
        f"Measured in turn, {about['rounds']} rounds, on {about['processor'] or about['machine']}: "
        "milliseconds of a batch of 1, examples a second in batches of 32, and the largest size of "
        "a fresh process with its libraries."
    )
    notes = [f"Not measured: {each}." for each in content["skipped"]]
    return [Table(benchmark_cells(content)), Text(text), *([Items(notes)] if notes else [])]


def probe_blocks(content: Mapping[str, Any]) -> list[Block]:
    """The scores of probes by the number of labels."""
    notes = content.get("notes", [])
    blocks: list[Block] = [Text(probe_legend(content)), Table(probe_cells(content["rows"]))]
    return [*blocks, Items(notes)] if notes else blocks


def result_text(summary: Mapping[str, Any]) -> str:
    """Which weights were taken, and how they were chosen."""
    chosen = summary["selected"]
    how = f"the last weights (epoch {chosen['epoch']})"
    if chosen["by"]:
        where = "the monitored examples" if chosen["by"] == "knn" else "validation"
        how = (
            f"the weights of epoch {chosen['epoch']}, best on {where} ({chosen['by']} "
            f"{chosen['score']:.4f})"
        )
        if chosen["epoch"] == 0:
            how += ": the student as it was before its first step"
    text = f"`student.safetensors` holds {how}."
    if summary.get("test"):
        text += " The test part was read once, with these weights."
    return text


def score_rows(summary: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The student and its teachers on each part that has scores: a name, and what is known."""
    details = summary.get("details") or {}
    rows = []
    for part in ("test", "validation"):
        beside = details.get(part) or {}
        count = beside.get("examples", summary["examples"].get(part))
        rows.append((part, {"examples": count, **beside, "scores": summary.get(part)}))
    for name, teacher in teachers_of(summary).items():
        label = f"teacher {name}".strip()
        rows += [(f"{label}, {part}", each) for part, each in teacher["parts"].items()]
    return [(name, row) for name, row in rows if row["scores"]]


def _scores(summary: Mapping[str, Any]) -> list[Block]:
    """The scores of the student and of its teachers, with the interval of the one that chooses."""
    rows = score_rows(summary)
    if not rows:
        return [Text("No labels to score against.")]
    names = list(dict.fromkeys(name for _, row in rows for name in row["scores"]))
    lines = [["on", "examples", *names[:1], "95 %", "majority", *names[1:]]]
    for name, row in rows:
        first, *others = [number(row["scores"].get(n)) for n in names]
        beside = [interval_text(row.get("interval")), number(row.get("majority"))]
        count = how_many(row).removesuffix(" examples")
        lines.append([name, count, first, *beside, *others])
    known = [f"{name}: {row['seen']}" for name, row in rows if row.get("seen")]
    by = next((row["interval"]["score"] for _, row in rows if row.get("interval")), None)
    texts = [
        f"95 %: the interval of {by} over examples." if by else "",
        "Majority: the accuracy of always predicting the most frequent class."
        if any(row.get("majority") for _, row in rows)
        else "",
        f"Seen by the teacher in its training: {'; '.join(known)}." if known else "",
    ]
    caption = " ".join(filter(None, texts))
    return [Table(without_empty_columns(lines)), *([Text(caption)] if caption else [])]


def _domains(summary: Mapping[str, Any]) -> list[Block]:
    """The scores in other domains; of corruptions their mean."""
    domains = {k: v for k, v in summary["out_of_domain"].items() if "/" not in k}
    names = list(dict.fromkeys(name for each in domains.values() for name in each["scores"]))
    lines = [
        ["on", "examples", *names[:1], "95 %", *names[1:], "drop", "similarity to the teacher"]
    ]
    for name, each in domains.items():
        if clean := each.get("uncorrupted"):
            values = [number(clean["scores"].get(n)) for n in names]
            cells = [f"{name}, uncorrupted", f"{clean['examples']:,}", *values[:1], ""]
            lines.append([*cells, *values[1:], "", ""])
        alike = ", ".join(number(value) for value in (each["similarity"] or {}).values())
        values = [number(each["scores"].get(n)) for n in names]
        cells = [name, f"{each['examples']:,}", *values[:1], interval_text(each.get("interval"))]
        lines.append([*cells, *values[1:], number(each["drop"]), alike])
    alike = ", ".join(number(value) for value in (summary.get("similarity") or {}).values())
    text = (
        "Drop: of the main score, against the test part (of a corruption: against the same "
        "examples uncorrupted). Similarity: linear CKA of the embeddings"
    )
    return [
        Table(without_empty_columns(lines)),
        Text(text + (f"; on the test part {alike}." if alike else ".")),
    ]


def _similarity(teachers: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """Similarity of the student's embedding to each teacher's."""
    if not teachers:
        return []
    lines = [["teacher", "linear CKA", "variance explained", "neighbors in common", "on"]]
    for name, each in teachers.items():
        measures = [number(each[key]) for key in ("similarity", "explained", "neighbors")]
        lines.append([name, *measures, f"{each['examples']:,} of {each['part']}"])
    text = (
        "Variance explained: of the teacher's vectors, by a linear map of the student's, judged on "
        "other examples than it was fitted on. Neighbors: of the ten nearest by cosine."
    )
    return [Table(lines), Text(text)]


def _losses(summary: Mapping[str, Any]) -> list[Block]:
    """The losses of the first steps, with their weights then and at the end."""
    measured, last = summary["measured"], summary["weights_used"]
    head, *rows = loss_cells(measured["losses"])
    lines = [[*head, "weight at the end"], *([*row, short(last.get(row[0]))] for row in rows)]
    legend = LOSS_LEGEND.format(reference=measured["beside"] or "the task")
    steps = f"Measured in the first {measured['steps']} steps; balance {summary['balance']}."
    return [Table(lines), Text(f"{steps} {legend}.")]


def _data(summary: Mapping[str, Any]) -> list[Block]:
    """How many examples and classes there are, and what was left out or changed."""
    counts, notes = summary["examples"], summary.get("data_notes") or []
    lines = [["what", "how many"]]
    for part in ("train", "validation", "test"):
        if counts.get(part):
            more = counts.get("labeled") if part == "train" else None
            text = "" if more is None else f", {more:,} of them with labels"
            name = "training" if part == "train" else part
            lines.append([f"{name} examples", f"{counts[part]:,}{text}"])
    classes = summary.get("classes")
    lines += [["classes", f"{len(classes):,}"]] if isinstance(classes, list) else []
    return [Table(lines), *([Items([f"{note}." for note in notes])] if notes else [])]


def _costs(summary: Mapping[str, Any]) -> list[Block]:
    sizes = summary["parameters"]
    lines = [["what", "how much"], ["student's parameters", f"{sizes['student']:,}"]]
    if sizes.get("teacher"):
        ratio = sizes["teacher"] / sizes["student"]
        lines.append(["teacher's parameters", f"{sizes['teacher']:,} ({ratio:.2f}×)"])
    if summary.get("reading"):
        lines.append(["teacher outputs", summary["reading"]])
    if summary.get("computed"):
        lines.append(["student compute", summary["computed"]])
    lines.append(["heads trained and dropped", f"{sizes['heads']:,}"])
    lines.append(["epochs, steps", f"{summary['epochs']}, {summary['steps']:,}"])
    lines.append(["seconds per epoch", f"{summary['seconds_per_epoch']:.1f}"])
    lines.append(["whole run", duration(summary["seconds"])])
    memory = summary.get("memory") or {}
    for name, key in (
        ("peak memory of the process", "resident"),
        ("peak memory of the GPU", "gpu"),
    ):
        if memory.get(key) is not None:
            lines.append([name, f"{memory[key] / 1e6:,.0f} MB"])
    notes = [f"Note: {note}." for note in summary.get("network_notes", [])]
    notes += [f"Measured: {note}." for note in summary.get("compute_notes", [])]
    return [Table(lines), *map(Text, notes)]
