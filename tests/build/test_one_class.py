"""Data of one class only are refused before the first step; a test part of one class is scored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mentee import compare, train
from mentee.errors import DataError, MenteeError, RecipeError

ALTERNATE, SAME = [0, 1] * 12, [0] * 24
NOTHING = "so there is nothing to tell apart; give examples of another class too, or train on the "


def images(labels: Any) -> dict[str, Any]:
    gray = np.arange(len(labels), dtype=np.uint8) * 9
    return {"image": np.broadcast_to(gray[:, None, None], (len(labels), 8, 8)), "label": labels}


def texts(labels: Any) -> dict[str, Any]:
    return {"text": [f"text {i}" for i in range(len(labels))], "label": labels}


def clips(labels: Any) -> dict[str, Any]:
    audio = [np.sin(np.arange(4000) / (9 + i)).astype(np.float32) for i in range(len(labels))]
    return {"audio": audio, "sample_rate": 16_000, "label": labels}


def folder(root: Path) -> Path:
    for i in range(24):
        path = root / "train" / "cat" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 9 * i).save(path)
    return root


def table(root: Path, test: str) -> Path:
    rows = [f"text {i},a" for i in range(24)]
    root.mkdir()
    (root / "train.csv").write_text("\n".join(["text,label", *rows]))
    (root / "test.csv").write_text(f"text,label\nmore text,{test}\nand more,a")
    return root


def recipe(network: str = "resnet8-cifar", **data: Any) -> dict[str, Any]:
    options = {"options": {"widths": [2, 2, 2]}} if network == "resnet8-cifar" else {}
    return {
        "data": {"source": "x", "validation": 0.25, "test": None, "views": "none", **data},
        "student": {"network": network, **options},
        "method": {"name": "none"},
        "train": {"epochs": 1, "batch": 8},
    }


@pytest.mark.parametrize(
    ("content", "data", "what"),
    [
        pytest.param(recipe(), images(SAME), "arrays is of the class '0'", id="class-numbers"),
        pytest.param(recipe(), images(["a"] * 24), "arrays is of the class 'a'", id="class-names"),
        pytest.param(recipe(), images(np.ones((24, 1))), "arrays has every class", id="one-tag"),
        pytest.param(recipe(), images([[1, 1]] * 24), "arrays has every class", id="two-tags"),
        pytest.param(
            recipe("hashed-bag-small"), texts(["a", None] * 12), "is of the class 'a'", id="blank"
        ),
        pytest.param(recipe("small-fcn"), clips(SAME), "is of the class '0'", id="audio"),
    ],
)
def test_arrays_of_one_class(
    tmp_path: Path, content: dict[str, Any], data: dict[str, Any], what: str
) -> None:
    with pytest.raises(DataError, match=f"^each labeled example of .*{what}, {NOTHING}"):
        train(content, data=data, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(folder, id="images"),
        pytest.param(lambda root: table(root, "a"), id="table"),
        pytest.param(lambda root: table(root, "b"), id="table-with-another-class-to-test"),
    ],
)
@pytest.mark.parametrize("several", [False, True], ids=["train", "compare"])
def test_files_of_one_class(tmp_path: Path, make: Callable[[Path], Path], several: bool) -> None:
    source = make(tmp_path / "data")
    images = make is folder
    content = recipe(
        "resnet8-cifar" if images else "hashed-bag-small",
        source=str(source),
        test=None if images else "test",
    )
    match = f"is of the class '{'cat' if images else 'a'}', {NOTHING}"
    run = partial(compare, names=["none"], seeds=1, say=lambda line: None) if several else train
    with pytest.raises(MenteeError, match=match):
        run(content, out=tmp_path / "runs")


@pytest.mark.parametrize(
    ("labels", "part", "scores"),
    [
        pytest.param(ALTERNATE, SAME, {"accuracy", "loss"}, id="numbers"),
        pytest.param(["a", "b"] * 12, ["b"] * 5, {"accuracy", "loss"}, id="names"),
        pytest.param(np.array([ALTERNATE]).T, np.ones((8, 1)), None, id="a-tag"),
    ],
)
def test_a_test_part_of_one_class_is_scored_as_far_as_it_can_be(
    tmp_path: Path, labels: Any, part: Any, scores: set[str] | None
) -> None:
    data = {"train": images(labels), "test": images(part)}
    summary = train(recipe(test="test"), data=data, out=tmp_path / "run", quiet=True).summary
    if scores is None:
        assert summary["test"] is None
        return
    assert scores <= summary["test"].keys()
    assert summary["test"]["accuracy"] == summary["test"]["balanced_accuracy"]


@pytest.mark.parametrize(
    ("labels", "part", "what"),
    [
        pytest.param(
            np.array([ALTERNATE]).T, np.ones((8, 1)), "class has both positive", id="a-tag"
        ),
        pytest.param(np.arange(24) / 7, np.full(8, 0.3), "target has two", id="a-target"),
    ],
)
def test_a_validation_part_without_a_score_is_refused_before_the_first_step(
    tmp_path: Path, labels: Any, part: Any, what: str
) -> None:
    data = {"train": images(labels), "validation": images(part)}
    task = "regression" if "target" in what else "multi"
    with pytest.raises(RecipeError, match=f"^no {what} .* in the 8 validation examples of arrays"):
        train(
            recipe(validation="validation", task=task), data=data, out=tmp_path / "run", quiet=True
        )
    assert not (tmp_path / "run").exists()
