"""What a network says of the test part, kept small."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mentee import train
from mentee.data import open_examples
from mentee.errors import DataError, RunError
from mentee.evaluation.predictions import Predictions, load, predictions_of
from tests.conftest import digits

EXAMPLES = open_examples({"image": np.zeros((3, 8, 8, 1), np.uint8), "label": [0, 1, 1]})


def test_the_likeliest_class_and_how_likely_it_is() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 4.0]], dtype=torch.float64)
    found = predictions_of(logits, EXAMPLES)
    assert found is not None
    assert found.columns["classes"].tolist() == [0, 1, 0]
    expected = [1 / (1 + math.exp(-gap)) for gap in (2.0, 1.0, 1.0)]
    assert found.columns["confidence"].tolist() == pytest.approx(expected, rel=1e-6)
    assert found.ids.tolist() == list(EXAMPLES.ids)


def test_several_classes_have_no_likeliest() -> None:
    several = open_examples(
        {"image": np.zeros((2, 8, 8, 1), np.uint8), "label": np.eye(2, dtype=np.float32)}
    )
    assert predictions_of(torch.zeros(2, 2), several) is None
    assert predictions_of(torch.zeros(3, 1), EXAMPLES) is None


def some(classes: list[int], ids: list[str]) -> Predictions:
    confidence = np.ones(len(classes), np.float32)
    return Predictions(
        np.array(ids), {"classes": np.array(classes, np.int32), "confidence": confidence}
    )


def test_agreement() -> None:
    ids = ["a", "b", "c", "d"]
    assert some([1, 2, 3, 4], ids).agreement(some([1, 2, 0, 4], ids)) == 0.75
    with pytest.raises(DataError, match="the same test part"):
        some([1, 2], ["a", "b"]).agreement(some([1, 2], ["b", "a"]))


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    many = some([i % 1000 for i in range(50_000)], [f"test/{i}" for i in range(50_000)])
    many.save(path)
    assert path.stat().st_size < 500_000
    back = load(path)
    assert back.agreement(many) == 1.0
    assert (back.columns["classes"].dtype, back.columns["confidence"].dtype) == (
        np.int32,
        np.float32,
    )
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match="remove it, and it is made anew"):
        load(path)


def test_a_run_leaves_its_own(tmp_path: Path) -> None:
    run = train(digits(train={"epochs": 1}), out=tmp_path / "run", quiet=True)
    test = open_examples("embedded:digits", split="test")
    kept = load(run.path / "predictions.npz")
    assert kept.ids.tolist() == list(test.ids)
    right = float((kept.columns["classes"] == np.asarray(test.labels)).mean())
    assert right == pytest.approx(run.summary["test"]["accuracy"])
    none: dict[str, Any] = {"data": {"test": None}, "train": {"epochs": 1}}
    bare = train(digits(**none), out=tmp_path / "bare", quiet=True)
    assert not (bare.path / "predictions.npz").exists()
