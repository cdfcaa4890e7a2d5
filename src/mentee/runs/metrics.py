"""The lines of `metrics.jsonl`, of which a kill or a fault may have damaged some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_lines(path: Path, *, ended: bool = False) -> tuple[list[dict[str, Any]], str]:
    """All whole lines, and a note on damaged ones; empty: there are none.

    A last line without an end was cut by a kill: a resumed run writes it again. It is damage too
    where the run has `ended`.
    """
    if not path.is_file():
        return [], ""
    *texts, last = path.read_bytes().split(b"\n")
    texts += [last] if ended and last else []
    lines = [line for text in texts if (line := read_line(text)) is not None]
    damaged = len(texts) - len(lines)
    what = f"{damaged} damaged lines were" if damaged > 1 else "a damaged line was"
    return lines, f"{path.name}: {what} left out" if damaged else ""


def read_line(text: bytes) -> dict[str, Any] | None:
    """A line of the metrics: numbers, and groups of numbers by name; None: it is damaged."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not {"step", "epoch"} <= {*line}:
        return None
    groups = [value for value in line.values() if isinstance(value, dict)]
    numbers = [value for value in line.values() if not isinstance(value, dict)]
    numbers += [value for group in groups for value in group.values()]
    return line if all(isinstance(number, (int, float)) for number in numbers) else None
