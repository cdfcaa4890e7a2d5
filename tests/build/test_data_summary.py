"""The first lines of a command: how many examples there are, and what was found."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mentee
from mentee import cli
from mentee.build.data_summary import data_summary
from mentee.build.datasets import open_splits
from mentee.errors import DataError
from mentee.recipe import read
from mentee.teachers.pretrained import embedder


def _halves(images: Any) -> Any:
    pixels = torch.stack([torch.as_tensor(image).float() for image in images])[..., 0]
    return torch.cat([pixels.mean(1), pixels.mean(2)], 1) / 255


TINY = {"student": "resnet8-cifar", "method": "none", "train": {"epochs": 1, "batch": 8}}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """30 images in train and 10 in test, of two classes; one of them is cut."""
    rng = np.random.default_rng(0)
    for split, count in (("Train", 30), ("Test", 10)):
        for i in range(count):
            path = tmp_path / "photos" / split / ("cat", "dog")[i % 2] / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def _data(source: Any, **more: Any) -> dict[str, Any]:
    return {"source": str(source), "validation": 0.2, "views": "none", **more}


def test_the_first_line_counts_classes_and_examples(photographs: Path) -> None:
    lines = data_summary(open_splits(read({"data": _data(photographs), **TINY})))
    assert lines == ["2 classes, 24 / 6 / 10 examples (train / validation / test)"]


@pytest.mark.parametrize(
    ("data", "change", "line"),
    [
        (
            {"text": ["a", "b", "c", "d"], "label": np.eye(4)[:, :3]},
            {},
            "3 classes (several an example), 4 examples",
        ),
        (
            {"text": ["a", "b", "c", "d"], "label": [0.5, 1.5, 2.5, 3.25]},
            {},
            "1 target, 4 examples",
        ),
        ({"text": ["a", "b", "c", "d"]}, {"label": False}, "no labels, 4 examples"),
        (
            {"text": list("abcdefgh"), "label": [0, 1] * 4},
            {"limit": 4, "unlabeled": {"share": 0.5}},
            "2 classes, 8 examples, of those of train 4 with labels",
        ),
    ],
    ids=["several classes", "regression", "no labels", "unlabeled"],
)
def test_the_first_line_of_other_tasks(
    data: dict[str, Any], change: dict[str, Any], line: str
) -> None:
    config = {"source": "passed", "validation": None, "test": None, **change}
    recipe = read({"data": config, "student": "hashed-bag-small", "method": "none"})
    assert data_summary(open_splits(recipe, data)) == [line]


def test_texts_that_are_cut_are_told() -> None:
    data = {"text": ["é" * 4, "abcd", "abcdefghi"], "label": [0, 1, 0]}
    changes = {"source": "passed", "max_bytes": 8, "views": "none", "test": None}
    recipe = read({"data": {**changes, "validation": None}, "student": "hashed-bag-small"})
    (line,) = data_summary(open_splits(recipe, data))[1:]
    share = "1 of 3 texts are longer than 8 bytes, data.max_bytes"
    assert line.endswith(f": {share}, and are cut, such as 'train/2'")


def test_thousands_are_separated() -> None:
    recipe = read({"data": "embedded:digits", **TINY})
    assert data_summary(open_splits(recipe)) == [
        "10 classes, 1,167 / 130 / 500 examples (train / validation / test)"
    ]


def _cut(photographs: Path) -> None:
    for name in ("Train/cat/00.png", "Test/dog/01.png"):
        path = photographs / name
        path.write_bytes(path.read_bytes()[:60])


def test_train_tells_it_before_anything_else_and_refuses_before_the_first_step(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = {"data": _data(photographs), **TINY}
    mentee.train(recipe, out=tmp_path / "run")
    assert capsys.readouterr().out.startswith(
        "2 classes, 24 / 6 / 10 examples (train / validation / test)\n"
    )
    _cut(photographs)
    with pytest.raises(DataError, match=r"the image 'Train/cat/00.png' cannot be decoded"):
        mentee.train(recipe, out=tmp_path / "cut", quiet=True)
    assert not (tmp_path / "cut").exists()
    run = mentee.train(
        {**recipe, "data": _data(photographs, unreadable="skip")}, out=tmp_path / "skip"
    )
    out = capsys.readouterr().out
    assert out.startswith("2 classes, 23 / 6 / 9 examples (train / validation / test)\n")
    assert "1 of 30 images that cannot be read: 'Train/cat/00.png'" in out
    assert "1 of 10 images that cannot be read: 'Test/dog/01.png'" in out
    assert run.summary["test"]


def test_sweep_and_record_tell_it_first(photographs: Path, tmp_path: Path) -> None:
    recipe = {"data": _data(photographs), **TINY}
    lines: list[str] = []
    mentee.sweep(recipe, ["none"], seeds=1, processes=1, out=tmp_path / "s", say=lines.append)
    assert lines[0] == "2 classes, 24 / 6 / 10 examples (train / validation / test)"
    _cut(photographs)
    with pytest.raises(DataError, match=r"'Train/cat/00.png' cannot be decoded"):
        mentee.sweep(recipe, ["none"], seeds=1, out=tmp_path / "t", say=lines.append)
    lines.clear()
    mentee.record(
        photographs,
        embedder(_halves, name="halves", kind="image", width=16),
        tmp_path / "record",
        splits=("train", "test"),
        reading={"unreadable": "skip"},
        say=lines.append,
    )
    assert lines[0] == "29 / 9 examples (train / test)"
    assert "'Train/cat/00.png'" in lines[1]


def test_evaluate_and_probe_tell_what_train_tells(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = mentee.train({"data": _data(photographs), **TINY}, out=tmp_path / "run", quiet=True)
    Image.new("RGB", (8, 8), "green").save(photographs / "Test" / "cat" / "00.png")
    (photographs / "Test" / "dog" / "notes.md").write_text("dogs")
    notes = [
        f"left out of {photographs}/Test: 1 .md",
        f"{photographs} [test]: 1 of 10 images are of one color, such as 'Test/cat/00.png'",
    ]
    capsys.readouterr()
    for command in (["evaluate", str(run.path)], ["evaluate", str(run.path), "--on", "x=test"]):
        with pytest.raises(SystemExit, match="0"):
            cli.app(command)
        lines = capsys.readouterr().err.splitlines()  # beside the scores, which a program may read
        assert lines[:3] == ["2 classes, 10 examples", *notes]
    lines = []
    mentee.probe(run.path, changes=["probe.shares=[1.0]", "probe.who=[student]"], say=lines.append)
    assert lines[:3] == ["2 classes, 30 / 10 examples (train / test)", *notes]
    mentee.api.evaluate(run.path)
    assert capsys.readouterr().out == ""


def test_a_warning_on_the_command_line_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(cli, "app", lambda: None)
    cli.main()
    text = warnings.formatwarning(UserWarning("two lines\n  of a text"), UserWarning, "a.py", 3)
    assert text == "warning: two lines of a text\n"
