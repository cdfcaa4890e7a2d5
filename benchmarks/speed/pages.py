"""The lines of docs/results/speed.md that say what `path.py` and `compiled.py` measured.

python benchmarks/speed/pages.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

WAYS = ("contiguous", "compiled")


def path(content: dict[str, Any]) -> list[str]:
    """A line for each run: the step and the shares of it, with one thread and with two."""
    lines = []
    for name, result in content["runs"].items():
        one, two = (result[f"{threads} threads"] for threads in (1, 2))
        numbers = [f"{one['step_ms']:.1f}", f"{two['step_ms']:.1f}"]
        for share in ("data_share", "books_share"):
            numbers += [f"{100 * each[share]:.1f} %" for each in (one, two)]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    return lines


def compiled(content: dict[str, Any]) -> list[str]:
    """A line for each student: each way of computing it against channels-last, and its cost."""
    lines = []
    for name, result in content["students"].items():
        ratios = [f"{result[way]['times_channels-last']:.2f}" for way in WAYS]
        pays = result["pays_after_steps"]
        numbers = [
            f"{result['channels-last']['median_ms']:.1f}",
            *ratios,
            f"{result['seconds_to_compile']:.0f}",
            "never" if pays is None else f"{pays:,}",
        ]
        lines.append(f"| {name}, alone | {' | '.join(numbers)} |")
    return lines


def main() -> None:
    """Put the lines in the place of those of the same name on the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    here = Path(__file__).parent
    page = here.parents[1] / "docs" / "results" / "speed.md"
    text = page.read_text(encoding="utf-8").splitlines()
    for name, of in (("path", path), ("compiled", compiled)):
        file = here / f"{name}.json"
        for line in of(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else []:
            head = line[: line.index("|", 1) + 1]
            text = [line if old.startswith(head) else old for old in text]
    page.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
