"""The tables of docs/scale.md, from scale.json: `python benchmarks/speed/scale_pages.py`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SIZES = ("1 modules, batch 64", "5 modules, batch 64", "1 modules, batch 256")
SIZES += ("5 modules, batch 256",)
EXAMPLES = {"CIFAR": 50_000, "ImageNet-1k": 1_280_000, "17 M": 17_000_000, "1 B": 10**9}
QUEUED, HALF, FULL, MODULES = 16384, 2, 4, 5
ROOM = {"a laptop of 16 GB": 6e9, "a GPU of 24 GB": 10e9, "8 GPUs of 80 GB": 40e9}
"""Bytes a process may give to memories: what a network and its batch leave of it."""


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def text(size: float) -> str:
    """Bytes as a person says them: `1.3 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if size >= 9.95 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def steps(content: dict[str, Any]) -> list[str]:
    """Milliseconds of the contrast's part of a step, by memory."""
    rows = []
    for case in content["steps"]:
        k, n = case.get("negatives"), case["examples"]
        what = f"`{case['memory']}`" + (f", K = {k:,}" if k else "")
        if k == n:
            what += " (all rows)"
        ms = [f"{case['ms'][size]:.1f}" if size in case["ms"] else "" for size in SIZES]
        each = case["ms"].get(SIZES[-1])
        per = "" if each is None else f"{each / 256:.2f}"
        of = f"{n:,}" if case["memory"] == "bank" else "any"
        rows.append([what, of, case.get("dtype", ""), *ms, per])
    head = [
        "memory",
        "examples",
        "stored in",
        *(size.replace("1 modules", "1 module") for size in SIZES),
    ]
    return table([*head, "an example of the last"], rows)


def sizes(content: dict[str, Any]) -> list[str]:
    """Bytes that the memories keep, a module and a process, and those of five modules."""
    width, rows = content["width"], []
    for name, n in EXAMPLES.items():
        bank, queue = (2 * many * width for many in (n, QUEUED))
        rows.append(
            [
                name,
                f"{text(bank * FULL)} ({text(bank * HALF)})",
                f"{text(bank * FULL / 8)} ({text(bank * HALF / 8)})",
                f"{text(queue * FULL)} ({text(queue * HALF)})",
                "0",
                f"{text(MODULES * bank * HALF)}",
            ]
        )
    head = ["examples", "`bank`", "`sharded_bank`, 8 processes", "`queue`, K = 16,384", "`batch`"]
    return table([*head, "`bank` of five modules in bfloat16"], rows)


def records(content: dict[str, Any]) -> list[str]:
    """Bytes of a record of a network, float16, by network and number of views beside the clean."""
    rows = []
    for network, numbers in content["record"]["numbers"].items():
        for name, n in EXAMPLES.items():
            if (name == "CIFAR") == (network == "resnet20-cifar"):
                each = numbers * HALF
                cells = [text(n * each * (views + 1)) for views in (0, 8)]
                rows.append([f"`{network}`", name, f"{numbers:,}", text(each), *cells])
    head = ["teacher", "examples", "numbers", "an example and view", "clean", "clean and 8 views"]
    return table(head, rows)


def fits(content: dict[str, Any]) -> list[str]:
    """The most examples that five modules' banks in bfloat16 have room for."""
    row = MODULES * 2 * content["width"] * HALF
    rows = []
    for where, room in ROOM.items():
        alone = f"{room / row / 1e6:.0f} M"
        shared = f"{8 * room / row / 1e6:.0f} M" if where.startswith("8") else ""
        rows.append([where, text(room), alone, shared])
    rows.append(
        ["8 machines of 8 such GPUs", text(64 * 40e9), "", f"{64 * 40e9 / row / 1e6:,.0f} M"]
    )
    return table(["on", "room for memories", "`bank`", "`sharded_bank`"], rows)


def main() -> None:
    """Print all tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    content = json.loads((HERE / "scale.json").read_text(encoding="utf-8"))
    for make in (steps, sizes, fits, records):
        print(f"\n### {make.__name__}\n")
        print("\n".join(make(content)))


if __name__ == "__main__":
    main()
