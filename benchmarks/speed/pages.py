"""The lines of docs/results.md that say what `path.py` and `compiled.py` measured.

python benchmarks/speed/pages.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WAYS = ("contiguous", "compiled")


def path(content: dict[str, Any]) -> list[str]:
    """A line for each run: the step and the shares of it, with one thread and with two."""
    lines = []
    for name, found in content["runs"].items():
        one, two = (found[f"{threads} threads"] for threads in (1, 2))
        numbers = [f"{one['step_ms']:.1f}", f"{two['step_ms']:.1f}"]
        for share in ("data_share", "books_share"):
            numbers += [f"{100 * each[share]:.1f} %" for each in (one, two)]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    return lines


def compiled(content: dict[str, Any]) -> list[str]:
    """A line for each student: each way of computing it against channels-last, and its cost."""
    lines = []
    for name, found in content["students"].items():
        ratios = [f"{found[way]['times_channels-last']:.2f}" for way in WAYS]
        pays = found["pays_after_steps"]
        numbers = [
            f"{found['channels-last']['median_ms']:.1f}",
            *ratios,
            f"{found['seconds_to_compile']:.0f}",
            "never" if pays is None else f"{pays:,}",
        ]
        lines.append(f"| {name}, alone | {' | '.join(numbers)} |")
    return lines


def main() -> None:
    """Print the lines of the files that lie beside this one."""
    for name, of in (("path", path), ("compiled", compiled)):
        content = json.loads(Path(__file__).with_name(f"{name}.json").read_text(encoding="utf-8"))
        print(*of(content), "", sep="\n")


if __name__ == "__main__":
    main()
