"""Labels that were flipped on purpose are found again, by a network and by embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mentee import record_network
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.data.sources import open_examples
from mentee.experiments.distill.label_suspects import label_suspects, suspects_line
from mentee.recipe import read
from mentee.records.importing import import_record

CLASSES = 4
COLORS = torch.tensor([[200.0, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]])
SMALL = {"network": "resnet8-cifar", "options": {"widths": [4, 6, 8]}}


def images(flipped: int) -> tuple[dict[str, Any], set[int]]:
    """Images of four colors, of which some have the label of another one; and their rows."""
    rng = np.random.default_rng(0)
    labels = np.arange(240) % CLASSES
    noise = rng.normal(0, 25, (len(labels), 8, 8, 3))
    pixels = (COLORS.numpy()[labels][:, None, None] + noise).clip(0, 255).astype(np.uint8)
    rows = rng.choice(len(labels), flipped, replace=False)
    labels[rows] = (labels[rows] + rng.integers(1, CLASSES, flipped)) % CLASSES
    return {"train": {"image": pixels, "label": labels}}, set(rows.tolist())


class ByColor(nn.Module):
    """Its logits are minus the distances of an image's mean color to those of the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.colors = nn.Parameter(COLORS / 255)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -20 * torch.cdist(x.mean((2, 3)), self.colors)


def precision_and_recall(found: Any, rows: set[int]) -> tuple[float, float]:
    named = {int(each.rpartition("/")[2]) for each in found["ids"]}
    return len(named & rows) / len(named), len(named & rows) / len(rows)


def recipe(teacher: dict[str, Any], method: str) -> dict[str, Any]:
    return {
        "data": {"source": "mine", "validation": None, "test": None, "views": "none"},
        "student": SMALL,
        "teacher": teacher,
        "method": method,
        "train": {"batch": 20},
    }


def test_a_network_finds_flipped_labels(tmp_path: Path) -> None:
    data, rows = images(12)
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3}
    online = recipe({"network": "mine", "input": plain}, "kd")
    record_network(online, tmp_path, data=data, teacher=ByColor(), say=lambda line: None)
    recorded = recipe({"record": str(tmp_path)}, "kd")
    found = label_suspects(build(read(recorded), PythonOverrides(data)))
    assert found is not None
    assert found["by"] == "the teacher"
    assert precision_and_recall(found, rows) == (1.0, 1.0)
    assert found["accuracy"] == pytest.approx(1 - 12 / 240)
    assert "12 of 240 training labels are suspect" in suspects_line(found)
    assert suspects_line(found).count("train/") == 10


def test_a_classifier_on_embeddings_finds_flipped_labels(tmp_path: Path) -> None:
    data, rows = images(12)
    examples = open_examples(data)
    rng = np.random.default_rng(1)
    true = np.arange(240) % CLASSES
    vectors = np.eye(CLASSES)[true] @ rng.normal(size=(CLASSES, 16)) + rng.normal(0, 0.2, (240, 16))
    np.save(tmp_path / "v.npy", vectors.astype(np.float32))
    folder = tmp_path / "record"
    import_record(tmp_path / "v.npy", examples, folder / "train", name="mine", in_order=True)
    recorded = recipe({"record": str(folder), "clean": True}, "to-teacher")
    found = label_suspects(build(read(recorded), PythonOverrides(data)))
    assert found is not None
    assert found["by"] == "a classifier on the embeddings"
    precision, recall = precision_and_recall(found, rows)
    assert precision >= 0.9
    assert recall >= 0.9


def test_without_a_record_or_a_suspect_there_is_no_line() -> None:
    data, _ = images(0)
    overrides = PythonOverrides(data, teacher=ByColor())
    setup = build(overrides.mark(read(recipe({"network": "mine"}, "kd"))), overrides)
    assert label_suspects(setup) is None  # a network that is not recorded
    assert suspects_line(None) == ""
    assert suspects_line({"ids": [], "of": 240}) == ""
