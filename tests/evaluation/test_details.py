"""Scores of each class: in the summary and the report, in the loss, in the choice of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch

import mentee
from mentee.data import open_examples
from mentee.errors import MenteeError
from mentee.recipe import Recipe
from mentee.tasks import TASKS, Labels

COUNTS = [24, 4, 4]
"""Of each class among the training examples: two are rare."""


def made(kind: str, counts: list[int], seed: int = 0) -> dict[str, Any]:
    """Examples whose class can hardly be told, so that the most frequent one is predicted."""
    rng, labels = np.random.default_rng(seed), np.repeat(range(len(counts)), counts)
    n = len(labels)
    if kind == "text":
        content: Any = ["".join(rng.choice(list("abcdef"), 8)) for _ in labels]
    elif kind == "audio":
        content = [rng.normal(0, 0.1, 800).astype(np.float32) for _ in labels]
    else:
        content = rng.integers(0, 256, (n, 8, 8, 1)).astype(np.uint8)
    rate = {"sample_rate": 1000} if kind == "audio" else {}
    return {kind: content, "label": labels, **rate}


DATA: dict[str, Any] = {"source": "passed", "views": "none", "validation": "validation"}
STUDENTS: dict[str, Any] = {
    "image": {"network": "resnet8-cifar", "options": {"widths": [4, 4, 4]}},
    "audio": "small-fcn",
    "text": "hashed-bag-small",
}


def trained(kind: str, out: Path, **parts: Any) -> mentee.Run:
    data = {
        "train": made(kind, COUNTS),
        "validation": made(kind, [6, 5, 4], 1),
        "test": made(kind, [9, 7, 5], 2),
    }
    own = {"sample_rate": 1000, "seconds": 0.8} if kind == "audio" else {}
    recipe = {
        "data": {**DATA, **own},
        "student": STUDENTS[kind],
        "method": "none",
        **parts,
        "train": {"epochs": 2, "batch": 8, "lr": 0.01, **parts.get("train", {})},
    }
    return mentee.train(recipe, out=out, data=data, quiet=True)


@pytest.mark.parametrize("kind", STUDENTS)
def test_each_class_has_its_scores_and_one_that_is_never_predicted_a_warning(
    kind: str, tmp_path: Path
) -> None:
    run = trained(kind, tmp_path / "run")
    labels = np.repeat(range(3), [9, 7, 5])
    predicted = np.load(run.path / "predictions.npz")["classes"]
    details = run.summary["details"]["test"]
    recalls = sklearn.metrics.recall_score(labels, predicted, average=None, labels=range(3))
    assert [each["recall"] for each in details["classes"].values()] == pytest.approx(recalls)
    assert details["confusion"] == sklearn.metrics.confusion_matrix(labels, predicted).tolist()
    scores = run.summary["test"]
    assert scores["balanced_accuracy"] == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(labels, predicted)
    )
    f1 = sklearn.metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    assert scores["macro_f1"] == pytest.approx(f1)
    assert (details["examples"], details["majority"]) == (21, pytest.approx(9 / 21))
    never = [name for name in "012" if int(name) not in predicted]
    assert never
    report = (run.path / "report.md").read_text()
    count = "a class is" if len(never) == 1 else "2 classes are"
    assert f"test: {count} never predicted: {never[0]} (" in report
    assert "## Classes\n\nOf 21 examples of test." in report
    assert "| on | examples | accuracy | 95 % | majority | balanced_accuracy | macro_f1 |" in report


@pytest.mark.parametrize(
    ("kind", "by"),
    [("image", "recall/1"), ("text", "balanced_accuracy"), ("audio", "macro_f1"), ("text", "f1/2")],
)
def test_weights_are_chosen_by_any_of_these_scores(kind: str, by: str, tmp_path: Path) -> None:
    run = trained(kind, tmp_path / "run", select={"by": by})
    lines = [line["validation"][by] for line in run_lines(run) if "validation" in line]
    assert run.summary["selected"]["by"] == by
    assert run.summary["selected"]["score"] == max(lines)
    assert run.summary["score"] == {"name": by, "higher_is_better": True}
    assert run.summary["test"][by] >= 0


def run_lines(run: mentee.Run) -> list[dict[str, Any]]:
    from mentee.runs.folder import Folder

    return Folder(run.path).read_metrics()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"select": {"by": "recall/seven"}}, "select.by is recall/seven: no class 'seven'"),
        ({"select": {"by": "recall"}}, r"expected one of accuracy, .*recall/CLASS"),
        ({"train": {"class_weights": {"seven": 2.0}}}, "class_weights: no class 'seven'"),
        ({"train": {"class_weights": {"0": 0.0, "1": 0.0, "2": 0.0}}}, "all are 0"),
    ],
)
def test_what_does_not_exist_is_refused_before_the_first_step(
    parts: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MenteeError, match=message):
        trained("image", tmp_path / "run", **parts)
    assert not (tmp_path / "run").exists()


def several(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    rows = rng.integers(0, 2, (n, 3)).astype(np.float32)
    rows[:, 2] = np.arange(n) % 8 == 0
    rows[::5, 0] = np.nan
    return {"text": ["".join(rng.choice(list("abcdef"), 8)) for _ in range(n)], "label": rows}


def test_each_of_several_labels_has_an_average_precision(tmp_path: Path) -> None:
    data = {"train": several(48), "validation": several(24), "test": several(30)}
    recipe = {
        "data": DATA,
        "student": "hashed-bag-small",
        "method": "none",
        "train": {"epochs": 1, "batch": 8, "class_weights": "balanced"},
        "select": {"by": "average_precision/2"},
    }
    run = mentee.train(recipe, out=tmp_path / "run", data=data, quiet=True)
    classes = run.summary["details"]["test"]["classes"]
    assert [each["examples"] for each in classes.values()] == [24, 30, 30]
    mean = np.mean([each["average_precision"] for each in classes.values()])
    assert run.summary["test"]["map"] == pytest.approx(mean)
    chosen = classes["2"]["average_precision"]
    assert run.summary["test"]["average_precision/2"] == chosen
    assert (
        f"| 2 | 30 | 4 | {classes['2']['predicted']} | {chosen:.4f} |"
        in (run.path / "report.md").read_text()
    )
    with pytest.raises(MenteeError, match=r"train.sampling is balanced, .* the task .* is multi"):
        mentee.train(recipe, data=data, changes=["train.sampling=balanced"], out=tmp_path / "no")


# Class weights


def test_weights_of_one_class_an_example_keep_the_size_of_the_loss() -> None:
    labels = Labels(np.array([0] * 6 + [1] * 3 + [2]), None, ("a", "b", "c"), TASKS["single"])
    task, values = TASKS["single"], torch.tensor(labels.values)
    torch.manual_seed(0)
    logits = torch.randn(10, 3)
    plain = task.loss(logits, values)
    for weights, each in (("balanced", [1 / 18, 1 / 9, 1 / 3]), ({"c": 4.0}, [1, 1, 4])):
        expected = plain * torch.tensor(each)[values]
        expected = expected * 10 / torch.tensor(each)[values].sum()
        loss = task.with_class_weights(weights, labels).loss(logits, values)
        assert torch.allclose(loss, expected)
    assert torch.equal(task.with_class_weights(None, labels).loss(logits, values), plain)


def test_weights_of_several_classes_are_of_their_positive_examples() -> None:
    values = np.array([[1, 0], [0, 0], [0, 1], [0, 1]], np.float32)
    mask = np.array([[1, 1], [1, 1], [1, 0], [0, 1]], np.bool_)
    task = TASKS["multi"].with_class_weights("balanced", Labels(values, mask, ("a", "b")))
    logits = torch.zeros(4, 2)
    known = torch.tensor(mask)
    loss = task.loss(logits, torch.tensor(values), known)
    each = np.log(2) * np.array([[2, 1], [1, 1], [1, 2], [1, 2]]) * mask
    assert loss.tolist() == pytest.approx((each.sum(1) / mask.sum(1)).tolist())


def test_targets_have_no_classes_to_weigh(tmp_path: Path) -> None:
    texts = ["a", "b", "c", "d"] * 4
    data = {"text": texts, "label": [float(i) + 0.5 for i in range(16)]}
    recipe = {"data": {**DATA, "validation": None, "test": None}, "student": "hashed-bag-small"}
    changes = ["train.class_weights=balanced", "train.batch=4"]
    with pytest.raises(MenteeError, match="weighs classes, and the task is regression"):
        mentee.train(recipe, data=data, changes=changes, out=tmp_path / "run", quiet=True)


# Balanced sampling


@pytest.mark.parametrize("kind", ["image", "text", "audio"])
def test_classes_are_equally_frequent_and_no_example_is_left_behind(kind: str) -> None:
    from mentee.data.loader import balanced_order

    def order(epoch: int, seed: int = 0) -> list[int]:
        rows: list[int] = balanced_order(examples, seed, epoch).tolist()
        return rows

    examples = open_examples(made(kind, COUNTS))
    labels, rows = np.asarray(examples.labels), list[int]()
    for epoch in range(6):
        own = order(epoch)
        assert len(own) == 32
        assert np.ptp(np.bincount(labels[own])) <= 2
        rows += own
    times = np.bincount(rows, minlength=32)
    assert times[labels == 0].min() >= 2  # 64 draws of 24 in passes over all of them
    assert np.ptp(times[labels == 1]) <= 3
    assert order(3) == order(3)
    assert order(3) != order(4)
    assert order(3) != order(3, seed=1)


def test_a_balanced_run_is_resumed_exactly(tmp_path: Path) -> None:
    from tests.conftest import cut_off, digits

    recipe = digits(train={"sampling": "balanced", "class_weights": "balanced"})
    recipe["save"] = {"steps": 3, "minutes": None}
    whole = mentee.train(recipe, out=tmp_path / "whole", quiet=True)
    cut_off(recipe, tmp_path / "cut", 7)
    cut = mentee.resume(tmp_path / "cut", quiet=True)
    one, other = ((each.path / "student.safetensors").read_bytes() for each in (whole, cut))
    assert one == other
    assert Recipe.model_validate(mentee.recipe.read(cut.path / "recipe.yaml").model_dump())
