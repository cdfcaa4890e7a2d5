"""Writes the tables of docs/results/label-free.md: `python benchmarks/quality/label_free_page.py`.

From `label-free-images.json` and `label-free-audio.json`; the text around them stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from compare import mean
from methods_page import filled, lines
from pages import difference

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "results" / "label-free.md"
TASKS = ("images", "audio")


def blocks(contents: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The tables by name, of each task's file."""
    made = {}
    for task, content in contents.items():
        made |= {
            f"{task}_scores": scores(content["rows"]),
            f"{task}_gains": gains(content["rows"]),
            f"{task}_stop": stop(content["stop"]),
            f"{task}_kept": similarity(content["kept"]),
        }
    return made


def scores(result: list[dict[str, Any]]) -> str:
    """A line for each row, best first; a column for each way and share of the labels."""
    columns = list(dict.fromkeys((each["way"], each["share"]) for each in result))
    cells = {(each["row"], each["way"], each["share"]): each for each in result}
    by_whole = {each["row"]: each["mean"] for each in result if each["way"] == "linear"}
    rows = sorted(by_whole, key=lambda row: -by_whole[row])
    head = ["method", *(f"{way} {share:.0%}" for way, share in columns)]
    made = [[row, *(score(cells[row, way, share]) for way, share in columns)] for row in rows]
    return lines(head, made)


def score(result: dict[str, Any]) -> str:
    """A mean with its deviation over the seeds; the teacher is one."""
    spread = result.get("spread")
    return f"{result['mean']:.1f}" + ("" if spread is None else f" ± {spread:.1f}")


def gains(result: list[dict[str, Any]]) -> str:
    """What the linear probe gains over the student before its first step, KD and CRD."""
    linear = [each for each in result if each["way"] == "linear" and "values" in each]
    names = [row for row in dict.fromkeys(each["row"] for each in linear) if row != "random"]
    others = [
        each for each in ("random", "kd", "crd-bank") if any(f"above_{each}" in x for x in linear)
    ]
    cells = {(each["row"], each["share"]): each for each in linear}
    shares = list(dict.fromkeys(each["share"] for each in linear))
    columns = [(other, share) for other in others for share in shares]
    head = ["method", *(f"− {other}, {share:.0%}" for other, share in columns)]
    made = [
        [row, *(gain(cells[row, share].get(f"above_{other}")) for other, share in columns)]
        for row in names
    ]
    return lines(head, made)


def gain(result: list[float] | None) -> str:
    """`+1.2 ± 0.8`, of a mean and half of its interval."""
    return difference(result and dict(zip(("mean", "half"), result, strict=True)))


def stop(result: list[dict[str, Any]]) -> str:
    """Steps saved by early stopping, and the loss of the linear probe."""
    shares = [key for key in result[0] if key.startswith("lost_")]
    head = ["method", "steps saved", *(f"lost, {float(key[5:]):.0%} of labels" for key in shares)]
    return lines(
        head,
        [
            [
                each["row"],
                f"{mean(each['steps_saved']):.0f} % "
                f"({min(each['steps_saved']):.0f} to {max(each['steps_saved']):.0f})",
                *(f"{mean(each[key]):+.1f}" for key in shares),
            ]
            for each in result
        ],
    )


def similarity(result: dict[str, dict[str, dict[str, float]]]) -> str:
    """Similarity of students to each of two teachers."""
    head = ["method", "teacher", "similarity (CKA)", "explained", "neighbors"]
    return lines(
        head,
        [
            [row, name, *(f"{value:.2f}" for value in three(each))]
            for row, teachers in result.items()
            for name, each in teachers.items()
        ],
    )


def three(result: dict[str, float]) -> tuple[float, float, float]:
    """Similarity, explained variance and shared neighbors; 0.1 wrote `neighbours`."""
    neighbors = result["neighbors"] if "neighbors" in result else result["neighbours"]
    return result["similarity"], result["explained"], neighbors


def main() -> None:
    """Write the page."""
    contents = {
        task: json.loads((HERE / f"label-free-{task}.json").read_text(encoding="utf-8"))
        for task in TASKS
    }
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), blocks(contents)), encoding="utf-8")


if __name__ == "__main__":
    main()
