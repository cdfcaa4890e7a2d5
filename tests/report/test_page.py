from __future__ import annotations

import copy
from typing import Any

import pytest

from mentee.report import page

SUMMARY: dict[str, Any] = {
    "method": "cktf+kd",
    "student": {"network": "resnet8-cifar"},
    "test": {"accuracy": 0.91234, "loss": 0.3},
    "validation": {"accuracy": 0.92, "loss": 0.28},
    "teacher": {"examples": 200, "scores": {"accuracy": 0.95, "loss": 0.2}},
    "selected": {"keep": "best", "by": "accuracy", "epoch": 7, "score": 0.92},
    "parameters": {"student": 78042, "teacher": 272474, "heads": 1234},
    "examples": {"train": 1167, "validation": 130, "test": 500},
    "epochs": 12,
    "steps": 216,
    "seconds_per_epoch": 1.25,
    "seconds": 75.0,
    "memory": {"resident": 1_234_500_000, "gpu": None, "since": "run"},
}
METRICS: list[dict[str, Any]] = [
    line
    for epoch in range(1, 13)
    for line in (
        {"step": 18 * epoch, "epoch": epoch, "losses": {"task": 3 / epoch, "kl/logits": 0.5}},
        {"step": 18 * epoch, "epoch": epoch, "validation": {"accuracy": 0.5 + epoch / 30}},
    )
]


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The table below a heading, by its first column."""
    lines = text.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return {first: rest for first, *rest in cells}


def test_the_page_says_what_the_summary_says() -> None:
    text = page(SUMMARY, METRICS, "data:\n  source: a\n")
    assert text.startswith("# resnet8-cifar, method cktf+kd\n")
    assert "the weights of epoch 7, best on validation (accuracy 0.9200)" in text
    assert "The test part was read once, with these weights." in text
    good = rows(text, "Scores")
    assert good["on"] == ["examples", "accuracy", "loss"]
    assert good["test"] == ["500", "0.9123", "0.3000"]
    assert good["validation"] == ["130", "0.9200", "0.2800"]
    assert good["teacher, validation"] == ["200", "0.9500", "0.2000"]
    cost = rows(text, "Costs")
    assert cost["student's parameters"] == ["78,042"]
    assert cost["teacher's parameters"] == ["272,474 (3.49×)"]
    assert cost["heads trained and dropped"] == ["1,234"]
    data = rows(text, "Data")
    assert data["training examples"] == ["1,167"]
    assert data["test examples"] == ["500"]
    assert cost["epochs, steps"] == ["12, 216"]
    assert cost["seconds per epoch"] == ["1.2"]
    assert cost["whole run"] == ["1 min 15 s"]
    assert cost["peak memory of the process"] == ["1,234 MB"]
    assert "peak memory of the GPU" not in cost
    course = rows(text, "Training")
    assert course["epoch"] == ["validation accuracy", "task", "kl/logits"]
    assert course["12"] == ["0.9000", "0.2500", "0.5000"]
    assert text.endswith("## Recipe\n\n```yaml\ndata:\n  source: a\n```\n")


def test_a_score_that_is_no_number_is_noted() -> None:
    text = page({**SUMMARY, "test": {"accuracy": float("nan"), "loss": float("inf")}}, METRICS, "")
    assert "- test: accuracy is nan, which is no score\n- test: loss is inf, which" in text
    assert "which is no score" not in page(SUMMARY, METRICS, "")


def test_names_of_classes_leave_a_table_whole() -> None:
    row = {"recall": 1.0, "precision": 1.0, "f1": 1.0, "examples": 2, "predicted": 2}
    details = {"examples": 4, "classes": {"a|b": row, "c\nd": row}}
    text = page({**SUMMARY, "details": {"test": details}}, METRICS, "")
    assert "\n| a\\|b | " in text
    assert "\n| c d | " in text


def test_the_page_is_a_pure_function() -> None:
    before = copy.deepcopy((SUMMARY, METRICS))
    assert page(SUMMARY, METRICS, "a: 1") == page(*copy.deepcopy((SUMMARY, METRICS)), "a: 1")
    assert before == (SUMMARY, METRICS)


@pytest.mark.parametrize("epochs", [1, 2, 11, 240])
def test_a_long_course_is_shortened_and_keeps_its_end(epochs: int) -> None:
    metrics = [
        {"step": epoch, "epoch": epoch, "validation": {"accuracy": 0.5}}
        for epoch in range(1, epochs + 1)
    ]
    course = rows(page(SUMMARY, metrics, ""), "Training")
    assert str(epochs) in course
    assert len(course) <= 13


@pytest.mark.parametrize(("epochs", "chosen"), [(12, 5), (20, 3), (30, 8), (100, 99), (240, 131)])
def test_no_epoch_is_left_out_silently_and_the_chosen_one_never(epochs: int, chosen: int) -> None:
    metrics = [
        {"step": epoch, "epoch": epoch, "validation": {"accuracy": 0.5}}
        for epoch in range(1, epochs + 1)
    ]
    selected = {**SUMMARY["selected"], "epoch": chosen}
    text = page({**SUMMARY, "selected": selected}, metrics, "")
    course = [name for name in rows(text, "Training") if name.isdigit()]
    assert {"1", str(chosen), str(epochs)} <= set(course)
    note = f"{len(course)} of {epochs} evaluations"
    assert (note in text) == (len(course) < epochs) == (epochs > 20)


def test_a_corruption_stands_beside_the_same_examples_uncorrupted() -> None:
    clean = {"examples": 100, "scores": {"accuracy": 0.9, "loss": 0.4}}
    bad = {
        "examples": 7500,
        "scores": {"accuracy": 0.7, "loss": 1.0},
        "interval": {"score": "accuracy", "low": 0.6, "high": 0.8},
        "drop": 0.2,
        "uncorrupted": clean,
        "similarity": None,
    }
    found = rows(page(SUMMARY | {"out_of_domain": {"bad": bad}}, [], ""), "Out of domain")
    assert found["on"] == ["examples", "accuracy", "95 %", "loss", "drop"]
    assert found["bad, uncorrupted"] == ["100", "0.9000", "", "0.4000", ""]
    assert found["bad"] == ["7,500", "0.7000", "[0.6000, 0.8000]", "1.0000", "0.2000"]


def test_a_run_without_labels_teacher_and_test() -> None:
    last = {"keep": "last", "by": None, "epoch": 12, "score": None}
    parameters = {"student": 10, "teacher": None, "heads": 0}
    less = {"test": None, "validation": None, "teacher": None}
    bare = {**SUMMARY, **less, "selected": last, "parameters": parameters}
    text = page(bare, [], "")
    assert "holds the last weights (epoch 12)." in text
    assert "No labels to score against." in text
    assert "teacher" not in text
    assert "test part" not in text
    assert "Training" not in text


def test_other_domains_have_a_table_without_the_single_corruptions() -> None:
    scores = {"accuracy": 0.7, "loss": 1.0}
    domain = {"examples": 3768, "scores": scores, "drop": 0.21, "similarity": {"minilm": 0.355}}
    content = SUMMARY | {
        "similarity": {"minilm": 0.461},
        "out_of_domain": {
            "tweets": domain,
            "bad": domain | {"drop": None, "similarity": None},
            "bad/fog-3": domain,
        },
    }
    text = page(content, METRICS, "data: a\n")
    found = rows(text, "Out of domain")
    assert found["on"] == ["examples", "accuracy", "loss", "drop", "similarity to the teacher"]
    assert found["tweets"] == ["3,768", "0.7000", "1.0000", "0.2100", "0.3550"]
    assert found["bad"] == ["3,768", "0.7000", "1.0000", "", ""]
    assert "bad/fog-3" not in found
    assert "on the test part 0.4610." in text
    assert "Out of domain" not in page(SUMMARY, METRICS, "data: a\n")


def test_what_could_not_be_told_is_listed() -> None:
    notes = ["tweets has no scores: a", "test is not compared with the teacher: b"]
    text = page(SUMMARY | {"notes": notes}, METRICS, "")
    listed = text.partition("## Notes\n\n")[2].partition("\n\n")[0]
    assert listed.splitlines() == [f"- {note}" for note in notes]
    assert "Notes" not in page(SUMMARY | {"notes": []}, METRICS, "")
