"""The outputs of a network for all examples, and its predictions as a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mentee import train
from mentee.data import open_examples
from mentee.errors import DataError, MenteeError, RunError
from mentee.evaluation.predictions import Predictions, load, predict, predictions_of
from mentee.models import InputContract
from mentee.types import Batch
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
    with pytest.raises(RunError, match="remove it to make it again"):
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


CONTRACT = InputContract((0.5,), (0.25,))


def batch(rows: list[int], images: Tensor) -> Batch:
    return Batch(images[rows], torch.tensor(rows), torch.tensor(rows))


def test_logits_come_in_the_order_of_the_rows_and_in_evaluation_mode() -> None:
    images = torch.rand(7, 1, 4, 4)
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3))
    network(torch.randn(32, 1, 4, 4))  # batch statistics that are not those of the images
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = predict(network, CONTRACT, [batch([5, 2, 6], images), batch([0, 4, 1, 3], images)])
    assert [module.training for module in network] == [True, False, True, True]
    assert network.training
    network.eval()
    expected = torch.stack([network((image[None] - 0.5) / 0.25)[0] for image in images])
    torch.testing.assert_close(found, expected.detach())
    assert not found.requires_grad
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_flags_are_put_back_after_an_error() -> None:
    class BrokenError(Exception):
        pass

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise BrokenError

    network = Broken()
    with pytest.raises(BrokenError):
        predict(network, CONTRACT, [batch([0], torch.rand(1, 1, 4, 4))])
    assert network.training


def test_a_network_that_gives_no_tensor_is_named() -> None:
    class Mute(nn.Module):
        def forward(self, x: Tensor) -> str:
            return "nothing"

    with pytest.raises(MenteeError, match="Mute returned no tensor to take as logits"):
        predict(Mute(), CONTRACT, [batch([0], torch.rand(1, 1, 4, 4))])


def test_of_several_results_the_first_tensor_is_the_logits() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.flatten(1)[:, :2].bfloat16(), x

    found = predict(Two(), CONTRACT, [batch([1, 0], torch.rand(2, 1, 4, 4))])
    assert (found.shape, found.dtype) == ((2, 2), torch.float32)
