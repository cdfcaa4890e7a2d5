"""Made-up runs: what is said of them, and in which order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mentee.experiments.jobs import plan_jobs
from mentee.experiments.results import results
from mentee.experiments.rows import Row, read_rows
from mentee.recipe import read

RECIPE = read({"data": "embedded:digits", "student": "resnet8-cifar"})


def run(test: float, validation: float | None = None, **more: Any) -> dict[str, Any]:
    """What the summary of a run says."""
    return {
        "test": {"accuracy": test, "ece": 0.125},
        "validation": None if validation is None else {"accuracy": validation},
        "out_of_domain": {
            "fog": {"scores": {"accuracy": test - 0.25}, "drop": 0.25},
            "fog/fog-1": {"scores": {"accuracy": 0.0}, "drop": 1.0},
        },
        "parameters": {"student": 1000, "heads": 10},
        "steps": 100,
        "seconds": 60.0,
        "seconds_per_epoch": 2.0,
        "memory": {"resident": 5e8, "gpu": None},
        "method": "kd",
        "student": {"network": "net"},
        "selected": {},
        "examples": {},
        "epochs": 2,
        **more,
    }


def row(
    method: str,
    tests: Mapping[int, float],
    validations: Mapping[int, float] | None = None,
    missing: Mapping[int, str] | None = None,
    student: str = "net",
    **more: Any,
) -> Row:
    by = validations or tests
    return Row(student, method, {s: run(tests[s], by[s], **more) for s in tests}, missing or {})


def seeded(height: float, seed: int) -> dict[int, float]:
    rng = np.random.default_rng(seed)
    return {s: height + 0.02 * s + float(rng.normal(0, 0.002)) for s in range(3)}


def named(content: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["method"]: entry for entry in content["rows"]}


def test_rows_that_help_hurt_and_do_neither() -> None:
    rows = [row("none", seeded(0.5, 0)), row("kd", seeded(0.6, 1)), row("sp", seeded(0.4, 2))]
    rows += [row(f"r{i}", seeded(0.5, i)) for i in range(3, 9)]
    content = results(rows, [0, 1, 2])
    found = named(content)
    assert content["rows"][0]["method"] == "kd"
    assert content["rows"][-1]["method"] == "sp"
    assert content["students"]["net"]["best"] == "kd"
    assert found["kd"]["best"]
    assert (found["none"]["verdict"], found["none"]["to_scratch"]) == (None, None)
    assert {name: found[name]["verdict"] for name in ("kd", "sp", "r3")} == {
        "kd": "HELPS",
        "sp": "HURTS",
        "r3": "INCONCLUSIVE",
    }
    scores = [rows[1].runs[s]["test"]["accuracy"] for s in range(3)]
    base = [rows[0].runs[s]["test"]["accuracy"] for s in range(3)]
    kd = found["kd"]
    assert kd["to_scratch"]["difference"] == pytest.approx(np.mean(scores) - np.mean(base))
    assert kd["to_scratch"]["p_own"] == pytest.approx(stats.ttest_rel(scores, base).pvalue)
    assert kd["test"]["deviation"] == pytest.approx(np.std(scores, ddof=1))
    assert kd["to_scratch"]["p_holm"] >= kd["to_scratch"]["p"]
    assert found["sp"]["to_best"]["high"] < 0
    assert found["sp"]["to_best"]["high"] > found["sp"]["to_best"]["difference"]
    assert (kd["steps"], kd["seconds_per_epoch"], kd["memory"], kd["heads"]) == (100, 2.0, 5e8, 10)
    assert kd["ece"] == 0.125
    assert kd["out_of_domain"]["fog"]["drop"] == 0.25
    assert kd["out_of_domain"]["fog"]["score"] == pytest.approx(np.mean(scores) - 0.25)
    assert list(kd["out_of_domain"]) == ["fog"], "corruptions by their mean"
    json.dumps(content, allow_nan=False)


def test_validation_chooses_and_test_is_told() -> None:
    """The best on validation stays the best, whatever its test score."""
    better = row("a", {0: 0.5, 1: 0.5}, {0: 0.75, 1: 0.75})
    worse = row("b", {0: 0.6, 1: 0.7}, {0: 0.5, 1: 0.625})
    content = results([row("none", {0: 0.25, 1: 0.25}), worse, better], [0, 1])
    assert [entry["method"] for entry in content["rows"]] == ["a", "b", "none"]
    assert content["students"]["net"]["best"] == "a"
    assert content["ordered_by"] == "validation"
    assert named(content)["b"]["to_best"]["difference"] == pytest.approx(0.15)


def test_seeds_that_all_have_decide_the_order() -> None:
    """A row that has only the easy seed so far is not ahead by that."""
    none = row("none", {0: 0.5, 1: 0.75})
    half = row("half", {1: 0.7}, missing={0: "DIVERGED at step 3"})
    whole = row("whole", {0: 0.55, 1: 0.8})
    content = results([none, half, whole], [0, 1])
    assert [entry["method"] for entry in content["rows"]] == ["whole", "none", "half"]
    found = named(content)["half"]
    assert (found["to_scratch"]["seeds"], found["seeds"]) == (1, [1])
    assert found["verdict"] is None
    note = "net half: DIVERGED at step 3 (seed 0); compared on 1 seed."
    assert note in content["notes"]


def test_the_best_has_all_seeds() -> None:
    none = row("none", {0: 0.5, 1: 0.5})
    lucky = row("lucky", {0: 0.9}, missing={1: "under way"})
    content = results([none, lucky, row("kd", {0: 0.6, 1: 0.6})], [0, 1])
    assert content["rows"][0]["method"] == "lucky"
    assert content["students"]["net"]["best"] == "kd"


def test_one_seed_says_so() -> None:
    content = results([row("none", {0: 0.5}), row("kd", {0: 0.6})], [0])
    assert named(content)["kd"]["to_scratch"]["difference"] == pytest.approx(0.1)
    assert named(content)["kd"]["verdict"] is None
    assert any(text.startswith("One seed: no verdict") for text in content["notes"])


def test_without_validation_rows_stand_by_name_and_no_best_is_chosen() -> None:
    rows = [Row("net", m, {s: run(0.5 + 0.01 * s) for s in (0, 1)}, {}) for m in ("none", "kd")]
    content = results(rows, [0, 1])
    assert [entry["method"] for entry in content["rows"]] == ["kd", "none"]
    assert content["students"]["net"]["best"] is None
    assert content["ordered_by"] == "name"
    assert "net: no validation score: ordered by name, and no best is chosen." in content["notes"]


def test_without_a_test_part_validation_is_compared() -> None:
    rows = [row("none", {0: 0.5, 1: 0.5}), row("kd", {0: 0.6, 1: 0.6})]
    rows = [
        Row(r.student, r.method, {s: {**c, "test": None} for s, c in r.runs.items()}, {})
        for r in rows
    ]
    content = results(rows, [0, 1])
    assert content["score"] == {
        "name": "accuracy",
        "part": "validation",
        "higher_is_better": True,
    }
    assert named(content)["kd"]["to_scratch"]["difference"] == pytest.approx(0.1)
    assert any("no test part" in text for text in content["notes"])


def test_without_labels_costs_remain() -> None:
    bare = run(0.0) | {"test": None, "out_of_domain": {}}
    rows = [Row("net", m, {0: bare, 1: bare}, {}) for m in ("none", "kd")]
    content = results(rows, [0, 1])
    assert content["score"] is None
    assert named(content)["kd"]["seconds"] == 60.0
    assert any("No run has a score" in text for text in content["notes"])


def test_each_student_has_its_own_scratch_and_best_and_all_are_corrected_together() -> None:
    heights = {
        ("small", "none"): 0.4,
        ("small", "kd"): 0.41,
        ("big", "none"): 0.6,
        ("big", "kd"): 0.59,
    }
    both = [
        row(method, seeded(height, i), student=student)
        for i, ((student, method), height) in enumerate(heights.items())
    ]
    content = results(both, [0, 1, 2])
    assert (content["students"]["small"]["best"], content["students"]["big"]["best"]) == (
        "kd",
        "none",
    )
    ps = [e["to_scratch"]["p"] for e in content["rows"] if e["method"] == "kd"]
    corrected = [e["to_scratch"]["p_holm"] for e in content["rows"] if e["method"] == "kd"]
    assert min(corrected) == pytest.approx(min(2 * min(ps), 1))
    assert [e["student"] for e in content["rows"]] == ["small", "small", "big", "big"]


def test_unequal_budgets_are_said() -> None:
    rows = [row("none", {0: 0.5, 1: 0.5}), row("kd", {0: 0.6, 1: 0.6}, steps=50)]
    content = results(rows, [0, 1])
    assert any("not of equal budget, 50 to 100 steps" in text for text in content["notes"])


def test_what_became_of_runs(tmp_path: Path) -> None:
    jobs = plan_jobs(RECIPE, [], ["none", "a", "b", "c", "d", "e"], 1, tmp_path)
    for job in jobs[:4]:
        job.path.mkdir()
        (job.path / "recipe.yaml").touch()
    (jobs[0].path / "summary.json").write_text(json.dumps(run(0.5)))
    (jobs[1].path / "failure.txt").write_text("the loss is inf at step 7 (epoch 1): kl inf; ...\n")
    (jobs[2].path / "failure.txt").write_text("Traceback ...\nOSError: no such file\n")
    failed = {jobs[4].name: "method 'd' compares each class on its own"}
    found = {r.method: r for r in read_rows(jobs, failed, {jobs[5].name: "STOPPED after epoch 2"})}
    assert found["none"].runs[0]["test"]["accuracy"] == 0.5
    assert {m: r.missing[0] for m, r in found.items() if r.missing} == {
        "a": "DIVERGED at step 7",
        "b": "failed: OSError: no such file",
        "c": "under way",
        "d": "does not fit: method 'd' compares each class on its own",
        "e": "STOPPED after epoch 2",
    }


def test_what_a_budget_stopped_was_asked_all_the_same() -> None:
    rows = [row("none", seeded(0.5, 0)), row("kd", seeded(0.6, 1)), row("r", seeded(0.5, 3))]
    alone = named(results(rows, [0, 1, 2]))["kd"]["to_scratch"]
    gone = [
        Row("net", f"x{i}", {}, {s: "STOPPED after epoch 2: validation 0.1" for s in range(3)})
        for i in range(8)
    ]
    budget = {"share": 0.25, "factor": 3, "rungs": [2, 6], "epochs": 8, "stopped": {}}
    content = results([*rows, *gone], [0, 1, 2], budget=budget)
    found = named(content)
    assert found["kd"]["to_scratch"]["p"] == pytest.approx(alone["p"])
    assert found["kd"]["to_scratch"]["p_holm"] == pytest.approx(5 * alone["p_holm"])
    assert found["x0"]["verdict"] is None
    said = [
        text for text in content["notes"] if text.startswith("Budget 0.25: after epoch 2, 6 of 8")
    ]
    assert "8 rows were stopped" in said[0]
