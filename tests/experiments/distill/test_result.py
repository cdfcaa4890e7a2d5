"""The sentence on the winner, and the students that no smaller one beats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mentee.experiments.distill.candidates import Candidate
from mentee.experiments.distill.result import fronts, to_kd, verdict
from mentee.recipe import Network

SCORE = {"part": "test", "name": "accuracy", "higher_is_better": True}


def row(
    method: str, difference: float | None, judged: str | None, seeds: int = 3
) -> dict[str, Any]:
    scores = {str(seed): 0.5 for seed in range(seeds)}
    gain = {"difference": difference, "low": 0.01, "high": 0.05, "judged": [0.0, 0.06]}
    return {
        "student": "small",
        "method": method,
        "test": {"mean": 0.5, "half": 0.02, "scores": scores},
        "to_scratch": None if difference is None else gain,
        "verdict": judged,
    }


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            row("kd", 0.03, "HELPS"),
            "small by kd: test accuracy 0.5000 ± 0.0200, +0.0300 [+0.0000, +0.0600] to scratch: "
            "HELPS.",
        ),
        (
            row("none", None, None),
            "small by none: test accuracy 0.5000 ± 0.0200. No transfer was better than the labels "
            "alone.",
        ),
        (
            row("kd", 0.03, None, seeds=1),
            "small by kd: test accuracy 0.5000, +0.0300 [+0.0000, +0.0600] to scratch: no verdict, "
            "which takes two seeds.",
        ),
    ],
)
def test_the_verdict_is_a_sentence(entry: dict[str, Any], text: str) -> None:
    assert verdict(entry, SCORE) == text


def test_a_student_is_in_front_where_no_cheaper_one_is_as_good() -> None:
    students = [
        Candidate(Network(network="x"), name, size, 4 * size, time)
        for name, size, time in (("large", 300, 1.0), ("middle", 200, 3.0), ("small", 100, 2.0))
    ]
    scores = {"large": 0.7, "middle": 0.5, "small": 0.6}
    rows = [
        {
            "run": f"{name}-{stopped}",
            "student": name,
            "validation": score + 0.2 * stopped,
            "stopped": stopped,
            "lower_is_better": False,
        }
        for name, score in scores.items()
        for stopped in (False, True)
    ]
    found = fronts(rows, students)
    assert found["parameters"] == found["bytes"] == ["small-False", "large-False"]
    assert found["milliseconds"] == ["large-False"]
    errors = fronts([{**each, "lower_is_better": True} for each in rows], students)
    assert errors["parameters"] == ["small-False", "middle-False"]
    assert errors["milliseconds"] == ["large-False", "small-False", "middle-False"]


def test_the_difference_to_kd_is_paired_by_seed() -> None:
    scores = {"none": [0.1, 0.2, 0.3], "kd": [0.2, 0.3, 0.7], "cktf": [0.3, 0.5, 0.8]}
    rows = [
        {"method": name, "test": {"scores": dict(zip("012", values, strict=True))}}
        for name, values in scores.items()
    ]
    found = to_kd(rows[2], rows, SCORE)
    assert found is not None
    assert found["difference"] == pytest.approx(np.mean([0.1, 0.2, 0.1]))
    assert found["low"] < found["difference"] < found["high"]
    assert to_kd(rows[1], rows, SCORE) is None
    assert to_kd(rows[2], [rows[0], rows[2]], SCORE) is None
