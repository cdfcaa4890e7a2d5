"""The table of modalities, and a fourth one that is defined here and passed in."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import mentee
from mentee.api import evaluate
from mentee.data import MODALITIES, Modality, Views, limit, open_examples
from mentee.data.image_views import channel_statistics
from mentee.data.payload import InMemory, ViewOptions
from mentee.errors import DataError
from mentee.types import CLEAN


@dataclass(frozen=True)
class Jitter:
    """Each view adds a little noise to the vectors."""

    seed: int
    fast: ClassVar[bool] = True

    def __call__(self, contents, keys, view):
        x = contents if isinstance(contents, torch.Tensor) else torch.stack(contents)
        if view == CLEAN:
            return x
        noise = torch.Generator().manual_seed(self.seed + view)
        return x + 0.01 * torch.randn(x.shape, generator=noise)


def _rows(values, ids, options):
    rows = np.asarray(values, np.float32)
    if rows.ndim != 2:
        raise DataError(f"the vectors of {options.name} have shape {rows.shape}; expected [n, d]")
    return InMemory("vector", rows)


def _is_vector(one):
    return isinstance(one, torch.Tensor) and one.ndim == 1


def _dry_run(options, channels):
    return list(torch.zeros(2, channels))


def _jitter(options):
    return Jitter(options.seed)


VECTOR = Modality(
    name="vector",
    units="vectors",
    layout="float32 [b, d]",
    read_arrays=_rows,
    views={"none": _jitter},
    measure_input=channel_statistics,
    dry_run=_dry_run,
    fits=_is_vector,
    expected="a float32 tensor [d]",
    columns=("vector",),
)
ALL = {**MODALITIES, "vector": VECTOR}
CENTERS = np.random.default_rng(5).normal(0, 2, (3, 6))


def clouds(split, n=90):
    """Three clouds of points in six dimensions."""
    rng = np.random.default_rng({"train": 0, "validation": 1, "test": 2}[split])
    label = np.arange(n) % 3
    values = CENTERS[label] + rng.normal(0, 1, (n, 6))
    return {"vector": values.astype(np.float32), "label": label}


@pytest.fixture(scope="module")
def opened():
    splits = ("train", "validation", "test")
    return {s: open_examples(clouds(s), split=s, modalities=ALL) for s in splits}


def mlp(classes, width=16):
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, classes))


RECIPE = {
    "data": {"source": "clouds", "kind": "vector", "validation": "validation", "views": "none"},
    "student": "mlp",
    "method": "kd",
    "train": {"epochs": 3, "batch": 15, "lr": 0.05, "precision": "float32"},
}


def test_a_fourth_modality_is_trained_on_end_to_end(opened, tmp_path):
    teacher = mlp(3, width=64)
    with torch.no_grad():  # the nearest center: ‖x − c‖² is ‖x‖² − 2 cᵀx + ‖c‖²
        identity = torch.cat([torch.eye(6), -torch.eye(6), torch.zeros(52, 6)])
        centers = torch.tensor(CENTERS, dtype=torch.float32)
        teacher[0].weight.copy_(identity)
        teacher[0].bias.zero_()
        teacher[2].weight.copy_(torch.cat([centers, -centers, torch.zeros(3, 52)], 1))
        teacher[2].bias.copy_(-centers.square().sum(1) / 2)
    recipe = {**RECIPE, "teacher": {"network": "centers", "input": {"mean": [0.0], "std": [1.0]}}}
    run = mentee.train(
        recipe, out=tmp_path / "run", data=opened, student=mlp, teacher=teacher, quiet=True
    )
    assert run.summary["test"]["accuracy"] > 0.9
    resolved = mentee.recipe.read(tmp_path / "run" / "recipe.yaml")
    assert resolved.data.kind == "vector"
    assert resolved.data.channels is None
    # the input contract that the modality measures: each column's mean and deviation
    np.testing.assert_allclose(
        resolved.student.input.mean, clouds("train")["vector"].mean(0), atol=1e-3
    )
    scores = evaluate(run.path, data=opened, split="validation", student=mlp)
    assert scores["accuracy"] > 0.9
    assert "vector" not in MODALITIES


def test_a_table_of_the_fourth_modality(opened):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({k: v.tolist() for k, v in clouds("test").items()})
    examples = open_examples(table, split="test", modalities=ALL)
    assert examples.kind == "vector"
    assert examples.fingerprint(labels=False) == opened["test"].fingerprint(labels=False)


def test_what_is_known_alone_is_open_to_all(opened):
    with pytest.raises(DataError, match="arrays have a part 'vector'"):
        open_examples(clouds("train"))
    with pytest.raises(DataError, match="kind 'vector'"):
        open_examples(clouds("train"), kind="vector")
    with pytest.raises(DataError, match=r"the vectors of arrays have shape \(2,\)"):
        open_examples({"vector": [1.0, 2.0]}, modalities=ALL)
    with pytest.raises(DataError, match=r"no views 'crop' of vector"):
        VECTOR.build_views("crop", ViewOptions())
    with pytest.raises(DataError, match="holds vector; leave `channels` out"):
        open_examples(clouds("train"), channels=3, modalities=ALL)


def test_opened_examples_are_a_source(opened):
    part = limit(opened["train"], 30, seed=0)
    assert open_examples(part) is part
    assert open_examples(opened, split="test") is opened["test"]
    assert open_examples(part, label=False).labels is None
    with pytest.raises(DataError, match="no split 'tets': did you mean 'test'"):
        open_examples(opened, split="tets")
    with pytest.raises(DataError, match="the classes of arrays are 0, 1, 2"):
        open_examples(part, classes=["a", "b", "c"])
    with pytest.raises(DataError, match="have no columns to name"):
        open_examples(part, id="name")
    clips = open_examples({"audio": [np.eye(9)[0]], "sample_rate": 8000}, sample_rate=8000)
    with pytest.raises(DataError, match="opened at 8000 samples a second, not 16000"):
        open_examples(clips)


@pytest.mark.parametrize("modality", ALL.values(), ids=ALL)
def test_every_modality_keeps_its_contract(modality):
    options = ViewOptions(seconds=0.01, max_bytes=8)
    contents = modality.dry_run(options, 3)
    assert len(contents) == 2
    assert all(modality.fits(one) for one in contents)
    assert not modality.fits(None)
    views = modality.build_views("none", options)
    assert isinstance(views, Views)
    inputs = views(contents, torch.arange(2), CLEAN)
    axes = modality.layout.partition("[")[2].partition("]")[0].split(", ")
    assert inputs.ndim == len(axes)
    assert str(inputs.dtype) == f"torch.{modality.layout.split()[0]}"
    assert modality.default_views == "none" or modality.default_views in modality.views
    assert pickle.loads(pickle.dumps(modality)).name == modality.name
