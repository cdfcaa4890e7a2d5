"""A run folder's files as a page that a person can read; a pure function of what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mentee.report import losses
from mentee.report.probed import cells, said_of
from mentee.report.progress import duration


def page(
    summary: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    recipe: str,
    probe: Mapping[str, Any] | None = None,
) -> str:
    """Markdown: what was done, how good the student is, what it cost, how it went.

    Args:
        summary: of `summary.json`.
        metrics: the lines of `metrics.jsonl`.
        recipe: of `recipe.yaml`.
        probe: of `probe.json`; None: nothing was probed.

    Returns:
        The text of `report.md`.
    """
    parts = [f"# {summary['student']['network']}, method {summary['method']}", _result(summary)]
    parts += ["## How good", _scores(summary)]
    if probe and probe["rows"]:
        notes = "\n".join(f"- {note}" for note in probe["notes"])
        parts += ["## With few labels", said_of(probe), table(cells(probe["rows"])), notes]
    if summary.get("kept"):
        parts += ["## What it kept of each teacher", _kept(summary["kept"])]
    if summary.get("out_of_domain"):
        parts += ["## Out of domain", _domains(summary)]
    if summary.get("notes"):
        parts += ["## What could not be told", "\n".join(f"- {n}" for n in summary["notes"])]
    if summary.get("measured"):
        parts += ["## What each loss weighed", _losses(summary)]
    parts += ["## What it cost", _cost(summary)]
    validated = [line for line in metrics if "validation" in line]
    if validated:
        by = summary["selected"]["by"]
        parts += ["## How it went", _course(validated, metrics, None if by == "knn" else by)]
    if any("monitor" in line for line in metrics):
        parts += ["## By its embedding alone", _watched(summary, metrics)]
    parts += ["## Recipe", f"```yaml\n{recipe.strip()}\n```"]
    return "\n\n".join(filter(None, parts)) + "\n"


def _result(summary: Mapping[str, Any]) -> str:
    chosen = summary["selected"]
    how = f"the last weights (epoch {chosen['epoch']})"
    if chosen["by"]:
        where = "the watched examples" if chosen["by"] == "knn" else "validation"
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
    rows = [(part, summary.get(part)) for part in ("test", "validation")]
    named = {"": summary["teacher"]} if summary.get("teacher") else summary.get("teachers") or {}
    for name, teacher in named.items():
        who = f"teacher {name}".strip()
        rows.append((f"{who}, {teacher['examples']} of validation", teacher["scores"]))
    rows = [(name, scores) for name, scores in rows if scores]
    names = list(dict.fromkeys(name for _, scores in rows for name in scores or {}))
    lines = [["on", *names]]
    lines += [[who, *(_number(scores.get(n)) for n in names)] for who, scores in rows if scores]
    return table(lines) if rows else "No labels to score against."


def _domains(summary: Mapping[str, Any]) -> str:
    """What is left in other domains; corruptions by their mean."""
    found = {k: v for k, v in summary["out_of_domain"].items() if "/" not in k}
    names = list(dict.fromkeys(name for each in found.values() for name in each["scores"]))
    lines = [["on", "examples", *names, "lost", "like the teacher"]]
    for name, each in found.items():
        alike = ", ".join(_number(value) for value in (each["similarity"] or {}).values())
        scores = [_number(each["scores"].get(n)) for n in names]
        lines.append([name, f"{each['examples']:,}", *scores, _number(each["drop"]), alike])
    alike = ", ".join(_number(value) for value in (summary.get("similarity") or {}).values())
    text = (
        "Lost: of the main score, against the test part (of a corruption: against the same "
        "examples as they are). Like the teacher: linear CKA of the embeddings"
    )
    return table(lines) + f"\n\n{text}" + (f"; on the test part {alike}." if alike else ".")


def _kept(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """How like each teacher the student's embedding is."""
    lines = [["teacher", "linear CKA", "variance explained", "neighbors in common", "on"]]
    for name, each in kept.items():
        measures = [_number(each[key]) for key in ("similarity", "explained", "neighbors")]
        lines.append([name, *measures, f"{each['examples']:,} of {each['part']}"])
    text = (
        "Variance explained: of the teacher's vectors, by a linear map of the student's, judged on "
        "other examples than it was fitted on. Neighbors: of the ten nearest by cosine."
    )
    return f"{table(lines)}\n\n{text}"


def _losses(summary: Mapping[str, Any]) -> str:
    """How large the losses were at the beginning, and what they weighed there and at the end."""
    measured, last = summary["measured"], summary["weights_used"]
    head, *rows = losses.columns(measured["losses"])
    lines = [[*head, "weight at the end"], *([*row, losses.said(last.get(row[0]))] for row in rows)]
    about = losses.ABOUT.format(beside=measured["beside"] or "the task")
    many = f"Measured in the first {measured['steps']} steps; balance {summary['balance']}."
    return f"{table(lines)}\n\n{many} {about}."


def _cost(summary: Mapping[str, Any]) -> str:
    sizes = summary["parameters"]
    lines = [["what", "how much"], ["student's parameters", f"{sizes['student']:,}"]]
    if sizes.get("teacher"):
        ratio = sizes["teacher"] / sizes["student"]
        lines.append(["teacher's parameters", f"{sizes['teacher']:,} ({ratio:.2f}×)"])
    if summary.get("reading"):
        lines.append(["teacher read", summary["reading"]])
    if summary.get("computed"):
        lines.append(["student computed", summary["computed"]])
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
        ("most memory, of the process", "resident"),
        ("most memory, of the GPU", "gpu"),
    ):
        if memory.get(key) is not None:
            lines.append([name, f"{memory[key] / 1e6:,.0f} MB"])
    notes = (f"Measured: {note}." for note in summary.get("compute_notes", []))
    return "\n\n".join([table(lines), *notes])


def _course(
    validated: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]], by: str | None
) -> str:
    every = max(1, len(validated) // 10)
    shown = [*validated[:-1][::every], validated[-1]]
    found = {line["epoch"]: line["losses"] for line in metrics if "losses" in line}
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    score = by or next(iter(validated[-1]["validation"]), "")
    lines = [["epoch", f"validation {score}", *names]]
    for line in shown:
        at = found.get(line["epoch"], {})
        value = _number(line["validation"].get(score))
        lines.append([str(line["epoch"]), value, *(_number(at.get(name)) for name in names)])
    return table(lines)


def _watched(summary: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """What the watched examples said; the first line is the student before its first step."""
    lines = [line for line in metrics if "monitor" in line]
    every = max(1, len(lines) // 10)
    names = [n for n in ("knn", "gain", "noise", "probe") if n in lines[-1]["monitor"]]
    rows = [
        [str(line["epoch"]), *(_number(line["monitor"].get(name)) for name in names)]
        for line in [*lines[:-1][::every], lines[-1]]
    ]
    seen = summary["monitor"]
    text = (
        f"{seen['examples']:,} labeled examples, each told by the others nearest to it (knn); no "
        "loss read their labels. Gain: since the last one that was better by more than its noise."
    )
    return f"{text}\n\n{table([['epoch', *names], *rows])}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table, the first one its head.

    Example:
        >>> print(table([["a", "b"], ["1", "2"]]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    head, *rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows])
