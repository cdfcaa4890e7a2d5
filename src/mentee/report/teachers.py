"""A teacher's own scores, as `summary.json` has them, in lines of text and rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Teachers = Mapping[str, Mapping[str, Any]]


def teachers_of(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The teachers of a run by name, one that is alone without; of version 0.1 too."""
    alone = {"": summary["teacher"]} if summary.get("teacher") else {}
    entries = alone | (summary.get("teachers") or {})
    return {name: each if "parts" in each else _old(each) for name, each in entries.items()}


def _old(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of before the test part was scored."""
    part = {"examples": entry["examples"], "scores": entry["scores"]}
    return {"parts": {"validation": part}, "warnings": [], "why": None}


def teacher_lines(name: str, check: Mapping[str, Any]) -> list[str]:
    """A line for each part that the teacher was scored on, and for each warning."""
    label = f"teacher {name}".strip()
    lines = [f"{label}: not scored: {check['why']}"] if check.get("why") else []
    for part, each in check["parts"].items():
        score = each["score"]
        value = "" if score not in each["scores"] else f" {score} {each['scores'][score]:.4f}"
        lines.append(
            f"{label}: {part}{value} ({how_many(each)}; seen in its training: {each['seen']})"
        )
    return lines + [f"warning: {label}: {text}" for text in check["warnings"]]


def teacher_notes(teachers: Teachers) -> list[str]:
    """All warnings and all that was not scored, a sentence each."""
    return [
        line.removeprefix("warning: ")
        for name, check in teachers.items()
        for line in teacher_lines(name, {**check, "parts": {}})
    ]


def how_many(part: Mapping[str, Any]) -> str:
    """Its number of examples, and of how many.

    Example:
        >>> how_many({"examples": 150, "of": 150}), how_many({"examples": 2000, "of": 10000})
        ('150 examples', '2,000 of 10,000 examples')
    """
    of = part.get("of", part["examples"])
    return f"{part['examples']:,}{f' of {of:,}' if of != part['examples'] else ''} examples"


def teacher_cells(teachers: Teachers) -> list[list[str]]:
    """A line for each teacher and part; empty where none was scored."""
    lines = [["teacher", "on", "score", "95 %", "examples", "seen in its training"]]
    for name, check in teachers.items():
        for part, each in check["parts"].items():
            score = each.get("score") or next(iter(each["scores"]), "")
            value = each["scores"].get(score)
            text = "" if value is None else f"{score} {value:.4f}"
            cells = [name, part, text, interval_text(each.get("interval"))]
            lines.append([*cells, how_many(each).removesuffix(" examples"), each.get("seen", "")])
    return lines if len(lines) > 1 else []


def interval_text(interval: Mapping[str, Any] | None) -> str:
    """A 95 % interval in brackets; empty for None.

    Example:
        >>> interval_text({"score": "accuracy", "low": 0.85, "high": 0.9})
        '[0.8500, 0.9000]'
    """
    return "" if interval is None else f"[{interval['low']:.4f}, {interval['high']:.4f}]"
