"""`report.md`, a pure function of the other files of a run's folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mentee.report.classes import class_section
from mentee.report.progress import duration
from mentee.report.tables import (
    LOSS_LEGEND,
    loss_cells,
    markdown_table,
    number,
    probe_cells,
    probe_legend,
    short,
    without_empty_columns,
)
from mentee.report.teachers import how_many, interval_text, teacher_notes, teachers_of

EPOCHS = 20
"""The most evaluations that a table has all of."""


def page(
    summary: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    recipe: str,
    probe: Mapping[str, Any] | None = None,
) -> str:
    """Markdown: result, scores, costs and course of a run.

    Args:
        summary: of `summary.json`.
        metrics: the lines of `metrics.jsonl`.
        recipe: of `recipe.yaml`.
        probe: of `probe.json`; None: nothing was probed.

    Returns:
        The text of `report.md`.
    """
    parts = [f"# {summary['student']['network']}, method {summary['method']}", _result(summary)]
    parts += ["## Scores", _scores(summary)]
    details = summary.get("details") or {}
    if part := next((name for name in ("test", "validation") if details.get(name)), None):
        parts.append(class_section(part, details[part]))
    probes = [each for each in [probe, *probe.get("others", [])] if each["rows"]] if probe else []
    parts += ["## Scores with few labels"] if probes else []
    for each in probes:
        parts += [probe_legend(each), markdown_table(probe_cells(each["rows"]))]
        parts.append("\n".join(f"- {note}" for note in each.get("notes", [])))
    if summary.get("kept"):
        parts += ["## Similarity to each teacher", _similarity(summary["kept"])]
    if summary.get("out_of_domain"):
        parts += ["## Out of domain", _domains(summary)]
    notes = [*teacher_notes(teachers_of(summary)), *(summary.get("warnings") or [])]
    notes += summary.get("notes") or []
    notes += [
        f"{part}: {name} is {score}, which is no score"
        for part in ("test", "validation")
        for name, score in (summary.get(part) or {}).items()
        if isinstance(score, float) and not math.isfinite(score)
    ]
    if notes:
        parts += ["## Notes", "\n".join(f"- {text}" for text in notes)]
    if summary.get("measured"):
        parts += ["## Losses at the start", _losses(summary)]
    parts += ["## Costs", _costs(summary)]
    validated = [line for line in metrics if "validation" in line]
    if validated:
        by, chosen = summary["selected"]["by"], summary["selected"]["epoch"]
        parts += ["## Training", _training(validated, metrics, None if by == "knn" else by, chosen)]
    if any("monitor" in line for line in metrics):
        parts += ["## Quality of the embedding", _monitor(summary, metrics)]
    parts += ["## Recipe", f"```yaml\n{recipe.strip()}\n```"]
    return "\n\n".join(filter(None, parts)) + "\n"


def _result(summary: Mapping[str, Any]) -> str:
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


def _scores(summary: Mapping[str, Any]) -> str:
    """The scores of the student and of its teachers, with the interval of the one that chooses."""
    details = summary.get("details") or {}
    rows = []
    for part in ("test", "validation"):
        beside = details.get(part) or {}
        count = beside.get("examples", summary["examples"].get(part))
        row = {"examples": count, **beside, "scores": summary.get(part)}
        rows.append((part, row))
    teachers = teachers_of(summary)
    for name, teacher in teachers.items():
        label = f"teacher {name}".strip()
        rows += [(f"{label}, {part}", each) for part, each in teacher["parts"].items()]
    rows = [(name, row) for name, row in rows if row["scores"]]
    if not rows:
        return "No labels to score against."
    names = list(dict.fromkeys(name for _, row in rows for name in row["scores"]))
    lines = [["on", "examples", *names[:1], "95 %", "majority", *names[1:]]]
    for name, row in rows:
        first, *others = [number(row["scores"].get(n)) for n in names]
        beside = [interval_text(row.get("interval")), number(row.get("majority"))]
        count = how_many(row).removesuffix(" examples")
        lines.append([name, count, first, *beside, *others])
    known = [
        f"{f'teacher {name}'.strip()}, {part}: {each['seen']}"
        for name, teacher in teachers.items()
        for part, each in teacher["parts"].items()
        if each.get("seen")
    ]
    by = next((row["interval"]["score"] for _, row in rows if row.get("interval")), None)
    texts = [
        f"95 %: the interval of {by} over examples." if by else "",
        "Majority: the accuracy of always predicting the most frequent class."
        if any(row.get("majority") for _, row in rows)
        else "",
        f"Seen by the teacher in its training: {'; '.join(known)}." if known else "",
    ]
    return "\n\n".join(
        filter(None, [markdown_table(without_empty_columns(lines)), " ".join(filter(None, texts))])
    )


def _domains(summary: Mapping[str, Any]) -> str:
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
    return (
        markdown_table(without_empty_columns(lines))
        + f"\n\n{text}"
        + (f"; on the test part {alike}." if alike else ".")
    )


def _similarity(teachers: Mapping[str, Mapping[str, Any]]) -> str:
    """Similarity of the student's embedding to each teacher's."""
    lines = [["teacher", "linear CKA", "variance explained", "neighbors in common", "on"]]
    for name, each in teachers.items():
        measures = [number(each[key]) for key in ("similarity", "explained", "neighbors")]
        lines.append([name, *measures, f"{each['examples']:,} of {each['part']}"])
    text = (
        "Variance explained: of the teacher's vectors, by a linear map of the student's, judged on "
        "other examples than it was fitted on. Neighbors: of the ten nearest by cosine."
    )
    return f"{markdown_table(lines)}\n\n{text}"


def _losses(summary: Mapping[str, Any]) -> str:
    """The losses of the first steps, with their weights then and at the end."""
    measured, last = summary["measured"], summary["weights_used"]
    head, *rows = loss_cells(measured["losses"])
    lines = [[*head, "weight at the end"], *([*row, short(last.get(row[0]))] for row in rows)]
    legend = LOSS_LEGEND.format(reference=measured["beside"] or "the task")
    steps = f"Measured in the first {measured['steps']} steps; balance {summary['balance']}."
    return f"{markdown_table(lines)}\n\n{steps} {legend}."


def _costs(summary: Mapping[str, Any]) -> str:
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
    count = f"{summary['examples']['train']:,}"
    if "labeled" in summary["examples"]:
        count += f", {summary['examples']['labeled']:,} of them with labels"
    lines.append(["training examples", count])
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
    notes = [f"Data: {note}." for note in summary.get("data_notes", [])]
    notes += [f"Note: {note}." for note in summary.get("network_notes", [])]
    notes += [f"Measured: {note}." for note in summary.get("compute_notes", [])]
    return "\n\n".join([markdown_table(lines), *notes])


def _training(
    validated: Sequence[Mapping[str, Any]],
    metrics: Sequence[Mapping[str, Any]],
    by: str | None,
    chosen: int,
) -> str:
    shown = thinned(validated, chosen)
    losses = {line["epoch"]: line["losses"] for line in metrics if "losses" in line}
    names = list(dict.fromkeys(name for each in losses.values() for name in each))
    score = by or next(iter(validated[-1]["validation"]), "")
    lines = [["epoch", f"validation {score}", *names]]
    for line in shown:
        at = losses.get(line["epoch"], {})
        value = number(line["validation"].get(score))
        lines.append([str(line["epoch"]), value, *(number(at.get(name)) for name in names)])
    return markdown_table(lines) + left_out(shown, validated)


def thinned(lines: Sequence[Mapping[str, Any]], chosen: int) -> list[Mapping[str, Any]]:
    """At most twenty lines of epochs, else a tenth of them, with the chosen one and the last."""
    every = 1 if len(lines) <= EPOCHS else -(-len(lines) // 9)
    last = len(lines) - 1
    return [
        line
        for i, line in enumerate(lines)
        if i % every == 0 or i == last or line["epoch"] == chosen
    ]


def left_out(shown: Sequence[Any], lines: Sequence[Any]) -> str:
    """A sentence on the epochs that a table leaves out; "" where it has all."""
    if len(shown) == len(lines):
        return ""
    count = f"{len(shown)} of {len(lines)} evaluations"
    return f"\n\n{count}, with the one whose weights were taken; metrics.jsonl has all."


def _monitor(summary: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """The scores of the monitor; the first line is the student before its first step."""
    lines = [line for line in metrics if "monitor" in line]
    shown = thinned(lines, summary["selected"]["epoch"])
    names = [n for n in ("knn", "gain", "noise", "probe") if n in lines[-1]["monitor"]]
    rows = [
        [str(line["epoch"]), *(number(line["monitor"].get(name)) for name in names)]
        for line in shown
    ]
    examples = summary["monitor"]["examples"]
    text = (
        f"{examples:,} labeled examples, each classified by its nearest neighbors among the others "
        "(knn); no loss read their labels. Gain: since the last validation that was better by more "
        "than its noise."
    )
    return f"{text}\n\n{markdown_table([['epoch', *names], *rows])}{left_out(shown, lines)}"
