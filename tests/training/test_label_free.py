"""Training without labels: nothing of them leaks, the teacher's classes are learned instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mentee import models, record_network, resume, train
from mentee.api import Paused
from mentee.data import open_examples
from mentee.errors import MenteeError, PairError, RecipeError
from mentee.methods import METHODS, find, label_free
from tests.conftest import digits

FEW = {"memory.negatives": 48}


def without(teacher: dict[str, Any], /, method: Any, **parts: Any) -> dict[str, Any]:
    """Ten steps of transfer, no label."""
    data = {"label": False, **parts.pop("data", {})}
    return digits(
        teacher={"classes": 10, **teacher}, method=method, data=data, train={"epochs": 1}, **parts
    )


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    some = open_examples("embedded:digits", limit=128)
    pixels = some.read(np.arange(128)).numpy()
    assert some.labels is not None
    return {"image": pixels, "label": some.labels}


@pytest.mark.parametrize(
    "method",
    [
        {"name": "cktf-bank+kd", "params": FEW},
        {"name": "similarity", "params": FEW},
        "to-teacher",
        "east",
        "rkd",
    ],
)
def test_no_label_changes_anything(
    method: Any, teacher: dict[str, Any], images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """The same to the last bit with true labels, others, impossible ones and none."""
    data = {"limit": None, "test": None}
    labels = images["label"]
    given = [labels, np.roll(labels, 1), labels - 5, None]
    found = []
    for number, label in enumerate(given):
        arrays = {"image": images["image"]} | ({} if label is None else {"label": label})
        run = train(
            without(teacher, method, data=data), data=arrays, out=tmp_path / f"{number}", quiet=True
        )
        metrics = (run.path / "metrics.jsonl").read_text()
        found.append(((run.path / "student.safetensors").read_bytes(), metrics))
        assert run.summary["weights"]["task"] == 0
        assert run.summary["examples"]["train"] == 128, "nothing is cut off for validation"
        assert (run.summary["test"], run.summary["validation"]) == (None, None)
        assert run.summary["selected"] == {"keep": "last", "by": None, "epoch": 1, "score": None}
    assert all(each == found[0] for each in found[1:])


@pytest.mark.parametrize("method", ["to-teacher+cktf", {"name": "crd-bank", "params": FEW}])
def test_a_method_that_reads_no_labels_trains_as_without_them(
    method: Any, teacher: dict[str, Any], images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """And labels still score it."""
    name = {"name": method} if isinstance(method, str) else method
    data, weights = {"limit": None, "test": None, "validation": None}, []
    for label in (False, None):
        recipe = without(teacher, {**name, "labels": label is not None}, data=data)
        recipe["method"]["labels"] = False
        recipe["data"]["label"] = label
        recipe["student"]["classes"] = 10  # else 1 where there are no labels and no logits are read
        run = train(recipe, data=images, out=tmp_path / f"{label}", quiet=True)
        weights.append((run.path / "student.safetensors").read_bytes())
        assert run.summary["weights"]["task"] == 0
    assert weights[0] == weights[1]


@pytest.mark.parametrize("method", ["ec", "probe-kd", "dkd"])
def test_what_reads_labels_is_refused_where_the_method_reads_none(
    method: str, teacher: dict[str, Any], tmp_path: Path
) -> None:
    recipe = digits(teacher=teacher, method={"name": method, "labels": False})
    with pytest.raises(MenteeError, match="labels"):
        train(recipe, out=tmp_path / "run", quiet=True)


def test_the_classifier_alone_is_trained(teacher: dict[str, Any], tmp_path: Path) -> None:
    """All else, statistics of batch norm too, is bit for bit as it was; a stop changes nothing."""
    first = train(digits(train={"epochs": 1}), out=tmp_path / "first", quiet=True)
    student = {"weights": str(first.path / "student.safetensors")}
    recipe = digits(student=student, train={"epochs": 4, "classifier_only": True})
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    with pytest.raises(Paused):
        train(recipe, out=tmp_path / "stopped", quiet=True, until=2)
    resume(tmp_path / "stopped", quiet=True)
    paths = [run / "student.safetensors" for run in (first.path, whole.path, tmp_path / "stopped")]
    before, after, stopped = (load_file(path) for path in paths)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert all(torch.equal(after[name], stopped[name]) for name in after)
    assert whole.summary["validation"]["loss"] < first.summary["validation"]["loss"]
    recipe |= {"teacher": teacher, "method": "cktf"}
    with pytest.raises(RecipeError, match=r"classifier_only.*'cktf' reads its layer stages\.0"):
        train(recipe, out=tmp_path / "cktf", quiet=True)


def test_with_labels_negatives_do_depend_on_them(
    teacher: dict[str, Any], images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """So that the test above could fail."""
    recipe = digits(
        teacher=teacher,
        method={"name": "crd-bank", "weights": {"task": 0.0}, "params": FEW},
        data={"limit": None, "test": None, "validation": None},
        train={"epochs": 1},
    )
    found = []
    for number, label in enumerate((images["label"], np.roll(images["label"], 1))):
        arrays = {"image": images["image"], "label": label}
        run = train(recipe, data=arrays, out=tmp_path / f"{number}", quiet=True)
        found.append((run.path / "metrics.jsonl").read_text())
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("method", "classes"), [("kd", 4), ({"name": "crd-bank", "params": FEW}, 1)]
)
def test_the_students_classes_are_the_teachers_where_its_logits_are_read(
    method: Any, classes: int, tmp_path: Path
) -> None:
    four = models.build("resnet8-cifar", classes=4, channels=1, seed=1)
    recipe = without({"network": "four", "classes": 4}, method)
    run = train(recipe, out=tmp_path / "run", teacher=four, quiet=True)
    weights = load_file(run.path / "student.safetensors")
    assert weights["fc.weight"].shape[0] == run.summary["student"]["classes"] == classes


def test_a_record_says_how_many_classes_there_are(teacher: dict[str, Any], tmp_path: Path) -> None:
    recipe = without(teacher, "kd")
    live = train(recipe, out=tmp_path / "live", changes=["data.cycle=1"], quiet=True)
    record_network(recipe, tmp_path / "record", views=1, dtype="float32", say=lambda line: None)
    recipe["teacher"] = {"record": str(tmp_path / "record")}
    run = train(recipe, out=tmp_path / "run", quiet=True)
    assert run.summary["student"]["classes"] == 10
    one, other = (load_file(each.path / "student.safetensors") for each in (live, run))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "error", "text"),
    [
        ("none", RecipeError, "'none' without the task's loss learns nothing; name one that has a"),
        ("ec", PairError, "compress learns from labels and the examples have none"),
        ("dkd", PairError, "dkd learns from labels and the examples have none"),
        ({"name": "kd", "weights": {"logits": 0.0}}, RecipeError, "learns nothing"),
    ],
)
def test_what_needs_labels_is_refused(
    method: Any, error: type[MenteeError], text: str, teacher: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(error, match=text):
        train(without(teacher, method), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


# CKTF's code on unlabeled STL-10: KD a=1; CRD b=1; CKTF b=1, θ=0.04.
PUBLISHED = {
    "kd": {"logits": 1.0},
    "crd-bank": {"embedding": 1.0},
    "cktf-bank": {"stem": 0.04, "stages": 0.04, "embedding": 1.0},
    "cktf-exact": {"stem": 0.04, "stages": 0.04, "embedding": 1.0},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_without_labels_are_the_published_ones(name: str) -> None:
    row = label_free(METHODS[name])
    assert {term.layers: term.weight for term in row.terms} == PUBLISHED[name]
    assert row.task == 0


@pytest.mark.parametrize("name", METHODS)
def test_the_words_are_the_same_with_and_without_labels(name: str) -> None:
    row = METHODS[name]
    alone = label_free(row)
    assert [(t.layers, t.loss.name, t.representation, t.memory) for t in alone.terms] == [
        (t.layers, t.loss.name, t.representation, t.memory) for t in row.terms
    ]


@pytest.mark.parametrize("name", ["crd", "cktf"])
def test_without_labels_the_embedding_is_contrasted_at_a_higher_temperature(name: str) -> None:
    terms = {term.layers: term for term in label_free(METHODS[name]).terms}
    assert terms.pop("embedding").loss.params == {"temperature": 0.3}
    assert all(term.loss.params == {} for term in terms.values())


def test_a_sum_adds_up_what_its_rows_weigh_without_labels() -> None:
    row = label_free(find("crd-bank+kd"))
    assert [(t.layers, t.weight) for t in row.terms] == [("embedding", 1.0), ("logits", 1.0)]
