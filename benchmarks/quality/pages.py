"""The tables of docs/results/embeddings.md: `python benchmarks/quality/pages.py audio`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HEAD = ["teacher", "method", "in domain", "− scratch", "− `east`", "out of domain", "− scratch"]
HEAD += ["− `east`", "lost", "CKA"]


def lines(content: dict[str, Any], what: str, labels: Any) -> list[str]:
    """A Markdown table: a line for each row and teacher of one number of labels.

    Args:
        content: of an `embeddings-*.json`.
        what: `rows` or `ablation`.
        labels: `all`, or how many.
    """
    result = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for row in content[what]:
        if row["labels"] != labels:
            continue
        cells = [row["teacher"] or "", f"`{row['row']}`"]
        for where in ("test", "out"):
            there = row[where]
            cells.append(f"{there['mean']:.1f} ± {there['spread']:.1f}")
            cells += [difference(there.get(f"above_{base}")) for base in ("scratch", "east")]
        alike = "" if row["similarity"] is None else f"{row['similarity']:.2f}"
        result.append("| " + " | ".join([*cells, f"{row['drop']:.1f}", alike]) + " |")
    return result


def difference(options: dict[str, float] | None) -> str:
    """`+1.2 ± 0.8`, in bold where the interval does not hold 0."""
    if options is None:
        return ""
    text = f"{options['mean']:+.1f} ± {options['half']:.1f}"
    return f"**{text}**" if abs(options["mean"]) > options["half"] else text


def main() -> None:
    """Print all tables of a task."""
    content = json.loads((HERE / f"embeddings-{sys.argv[1]}.json").read_text(encoding="utf-8"))
    for what in ("rows", "ablation"):
        for labels in dict.fromkeys(row["labels"] for row in content.get(what, [])):
            print(f"\n### {what}, labels: {labels}\n")
            print("\n".join(lines(content, what, labels)))


if __name__ == "__main__":
    main()
