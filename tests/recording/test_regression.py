"""Regression with records: of a network, of embeddings, of several teachers, out of domain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mentee import record_network, train
from mentee.errors import DataError
from mentee.recording.embedders import record
from mentee.teachers.pretrained import embedder

RANDOM = np.random.default_rng(0)


def part(n: int, name: str) -> dict[str, Any]:
    """Pictures that are as bright as their target says."""
    bright = RANDOM.random((n, 1, 1))
    pixels = (255 * bright * RANDOM.uniform(0.5, 1, (n, 8, 8))).astype(np.uint8)
    target = 3 + 10 * bright[:, 0, 0]
    return {"image": pixels, "id": [f"{name}/{i}" for i in range(n)], "label": target}


DATA = {name: part(n, name) | {"task": "regression"} for name, n in (("train", 96), ("test", 40))}
STUDENT = {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}}


def means(images: Any) -> torch.Tensor:
    pixels = torch.stack([torch.as_tensor(image).float() for image in images])[..., 0]
    return torch.cat([pixels.mean(1), pixels.mean(2)], 1) / 255


def recipe(**parts: Any) -> dict[str, Any]:
    data = {"source": "arrays", "views": "none", "validation": None, "task": "regression"}
    schedule = {"epochs": 1, "batch": 24}
    return {"data": data, "student": STUDENT, "train": schedule, "select": {"keep": "last"}} | parts


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network, its record, and two records of embeddings."""
    room = tmp_path_factory.mktemp("regression")
    train(recipe(), data=DATA, out=room / "teacher", quiet=True)
    record_network(live(room, "kd"), room / "own", names=["output-mse", "cktf"], views=0, data=DATA,
                   dtype="float32", say=str)  # fmt: skip
    for name, change in (("a", 1.0), ("b", -2.0)):
        teacher = embedder(lambda x, s=change: s * means(x), name=name, kind="image", width=16)
        record(DATA, teacher, room / name, splits=("train", "test"), say=str)
    return room


def live(room: Path, method: Any, **parts: Any) -> dict[str, Any]:
    teacher = STUDENT | {"weights": str(room / "teacher/student.safetensors")}
    return recipe(teacher=teacher, method="output-mse" if method == "kd" else method, **parts)


def losses(content: dict[str, Any], out: Path) -> list[float]:
    steps: list[Any] = []
    train(content, data=DATA, out=out, quiet=True, on_step=steps.append)
    return [each.loss for each in steps]


@pytest.mark.parametrize("method", ["output-mse", "cktf"])
def test_a_recorded_network_teaches_as_the_live_one(
    room: Path, tmp_path: Path, method: str
) -> None:
    recorded = recipe(teacher={"record": str(room / "own")}, method=method)
    wanted = losses(live(room, method), tmp_path / "live")
    assert losses(recorded, tmp_path / "recorded") == pytest.approx(wanted, rel=1e-5)
    assert len(wanted) == 4
    assert np.isfinite(wanted).all()


@pytest.mark.parametrize("names", ["a", "ab"])
def test_embeddings_teach_a_regression(room: Path, tmp_path: Path, names: str) -> None:
    folders = {name: str(room / name) for name in names}
    where = folders if len(folders) > 1 else folders["a"]
    content = recipe(teacher={"record": where}, method="east")
    content["data"] = content["data"] | {
        "out_of_domain": {"pale": {"corruption": "contrast", "severity": 5}}
    }
    assert np.isfinite(losses(content, tmp_path / "run")).all()
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert {"r2", "mae"} <= set(summary["test"])
    assert summary["out_of_domain"]


def test_records_of_an_outside_modality_are_refused(tmp_path: Path) -> None:
    clips = {"audio": RANDOM.uniform(-1, 1, (96, 80)), "sample_rate": 8000}
    sounds = {"train": clips | {"id": DATA["train"]["id"]}}
    teacher = embedder(
        lambda x: torch.stack([c[:4] for c in x]),
        name="ear",
        kind="audio",
        width=4,
        sample_rate=8000,
    )
    record(sounds, teacher, tmp_path / "r", say=str)
    content = recipe(teacher={"record": str(tmp_path / "r")}, method="east")
    with pytest.raises(DataError, match=r"does not fit .*it is of audio, the examples are image"):
        train(content, data=DATA, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
