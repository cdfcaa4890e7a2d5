"""How like the teacher a student is: which record is read, and what is said of a useless one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from mentee import record, train
from mentee.cli import app
from mentee.errors import DataError
from mentee.evaluation import student_reader
from mentee.evaluation.student_reader import folder_of
from mentee.teachers.pretrained import embedder
from tests.conftest import digits
from tests.recording.test_embedders import halves

TEACHER = embedder(halves, name="halves", kind="image", width=16)


@pytest.fixture
def halved(tmp_path: Path) -> Path:
    """A record of the digits, to be spoilt."""
    out = tmp_path / "records" / "halves"
    record("embedded:digits", TEACHER, out, splits=("train", "test"), say=lambda line: None)
    return out


def taught(folder: Path, domains: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    data = {"limit": 64, "validation": None, "out_of_domain": domains or {}}
    teacher = {"record": str(folder), "clean": True}
    return digits(**{"data": data, "teacher": teacher, "train": {"epochs": 1}} | parts)


def test_the_folder_of_the_training_split_says_nothing_of_the_test_part(
    halved: Path, tmp_path: Path
) -> None:
    domains = {"seen": {"split": "train", "limit": 40}}
    run = train(taught(halved / "train", domains), out=tmp_path / "run", quiet=True)
    assert run.summary["similarity"] is None
    assert 0 < run.summary["out_of_domain"]["seen"]["similarity"]["teacher"] < 1
    assert run.summary["notes"] == []


def test_a_folder_is_that_of_its_split(halved: Path, tmp_path: Path) -> None:
    assert folder_of(halved, "test", "train") == halved / "test"
    assert folder_of(halved, "test_other", "train") is None
    assert folder_of(halved / "train", "train", "train") == halved / "train"
    assert folder_of(halved / "train", "test", "train") is None
    assert folder_of(tmp_path / "none", "test", "train") is None


def damage(folder: Path) -> None:
    path = folder / "clean" / "shard-00000.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def take_another(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "train", folder)


def lose(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (damage, "test/clean/shard-00000.npy is damaged: its checksum is another one"),
        (take_another, "test does not fit digits"),
        (lose, "has no record of split 'test'"),
    ],
)
def test_a_useless_record_of_the_test_part_costs_a_line_and_no_run(
    halved: Path, tmp_path: Path, spoil: Any, text: str
) -> None:
    spoil(halved / "test")
    domains = {"fog": {"corruption": "fog", "limit": 20}}
    run = train(taught(halved, domains, method="ec"), out=tmp_path / "run", quiet=True)
    assert run.summary["similarity"] is None
    assert set(run.summary["test"]) >= {"accuracy", "loss"}
    (note,) = {note.partition(": ")[2] for note in run.summary["notes"]}
    assert str(halved / "test") in note
    assert text in note
    assert f"- {run.summary['notes'][0]}" in (run.path / "report.md").read_text()
    said = CliRunner().invoke(app, ["evaluate", str(run.path), "--on", "again=train"])
    assert said.stdout.splitlines()[3:] == [f"note: {run.summary['notes'][0]}"]


def test_a_record_is_opened_once(
    halved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def count(*where: Any) -> Any:
        opened.append(where)
        return open_record(*where)

    open_record = student_reader.open_record
    monkeypatch.setattr(student_reader, "open_record", count)
    domains = {"fog": {"corruption": "fog", "limit": 20}, "snow": {"corruption": "snow"}}
    run = train(taught(halved, domains), out=tmp_path / "run", quiet=True)
    assert opened == [(halved / "test", "test")]
    there = run.summary["out_of_domain"]
    assert len({there[f"snow/snow-{i}"]["similarity"]["teacher"] for i in range(1, 6)}) == 5


def test_a_domain_of_another_source_may_have_a_record_of_its_own(
    halved: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in "37":
        (tmp_path / "other" / "test" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "other" / "test" / name / f"{i}.png")
    mine = tmp_path / "records" / "other"
    record(tmp_path / "other", TEACHER, mine, splits=("test",), say=lambda line: None)
    other = {"source": str(tmp_path / "other"), "split": "test"}
    domains = {
        "without": other,
        "with": other | {"record": str(mine)},
        "folder": other | {"record": {"halves": str(mine / "test")}},
        "own": {"split": "test", "record": str(halved)},
    }
    run = train(taught(halved, domains), out=tmp_path / "run", quiet=True)
    found = {k: v["similarity"] for k, v in run.summary["out_of_domain"].items()}
    assert found["without"] is None
    assert 0 < found["with"]["teacher"] < 1
    assert found["folder"] == {"halves": found["with"]["teacher"]}
    assert found["own"] == run.summary["similarity"]
    wrong = taught(halved, {"x": other | {"record": str(halved)}})
    with pytest.raises(DataError, match=r"  - x: the record .*halves/test does not fit"):
        train(wrong, out=tmp_path / "wrong", quiet=True)
    assert not (tmp_path / "wrong").exists()


def test_a_student_without_an_embedding_is_scored_all_the_same(
    halved: Path, tmp_path: Path
) -> None:
    def pooled(classes: int, channels: int) -> nn.Module:
        torch.manual_seed(0)
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(nn.Conv2d(channels, classes, 3), *head)

    run = train(taught(halved), out=tmp_path / "run", student=pooled, quiet=True)
    assert run.summary["test"]["accuracy"] >= 0
    assert run.summary["similarity"] is None
    (note,) = run.summary["notes"]
    assert note.startswith("test is not compared with the teacher: Sequential has no 'embedding'")
