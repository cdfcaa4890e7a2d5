"""Blank labels mean *unlabeled*, in whatever part, command and kind of data."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee import record, train
from mentee.build.datasets import open_single_split, open_splits
from mentee.build.evaluation_data import open_domains, open_monitor_examples
from mentee.data import open_examples
from mentee.errors import DataError
from mentee.recipe import Domain, Recipe
from mentee.recipe.schema import Monitor
from mentee.teachers.pretrained import embedder

NAN = float("nan")


def table(path: Path, rows: list[tuple[str, str, str]], name: str = "train.csv") -> Path:
    """Rows of id, text, label."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text", "label"), *rows])
    return path


def recipe(source: Any = "x", **data: Any) -> Recipe:
    content = {"source": str(source), "validation": None, "test": None, **data}
    return Recipe.model_validate({"data": content, "student": {"network": "hashed-bag"}})


def half(n: int) -> dict[str, Any]:
    """Texts of which the second half has no label."""
    labels = [i % 2 for i in range(n // 2)] + [None] * (n - n // 2)
    return {"text": [f"text {i}" for i in range(n)], "label": labels}


def regression(n: int) -> dict[str, Any]:
    return half(n) | {"label": [i / 4 for i in range(n // 2)] + [NAN] * (n - n // 2)}


def several(n: int) -> dict[str, Any]:
    rows = [[i % 2, 1 - i % 2, 1] for i in range(n // 2)]
    return half(n) | {"label": rows + [[-1, None, NAN]] * (n - n // 2)}


def clips(n: int) -> dict[str, Any]:
    audio = [np.sin(np.arange(100) / (2 + i)).astype(np.float32) for i in range(n)]
    return {"audio": audio, "sample_rate": 16_000, "label": half(n)["label"]}


FORMS = [half, regression, several, clips]


@pytest.mark.parametrize("form", FORMS)
def test_examples_without_label_are_left_out_and_counted(form: Any) -> None:
    splits = open_splits(recipe(), form(12))
    assert splits.train.ids == tuple(f"train/{i}" for i in range(6))
    assert splits.train.labeled is None
    assert len(splits.whole) == 12  # so a record of all of them fits
    expected = "6 of 12 examples of arrays have no label: they are left out; data.unlabeled={} lets"
    assert any(note.startswith(expected) for note in splits.notes)


@pytest.mark.parametrize("form", FORMS)
def test_examples_without_label_are_the_unlabeled_ones(form: Any) -> None:
    splits = open_splits(recipe(unlabeled={}, validation=0.34), form(12))
    known = splits.train.labeled
    assert known is not None
    assert splits.validation is not None
    labeled = 6 - len(splits.validation)
    assert known.tolist() == [True] * labeled + [False] * 6
    assert splits.train.ids[labeled:] == tuple(f"train/{i}" for i in range(6, 12))
    assert "6 of 12 examples of arrays have no label: they are read as unlabeled" in splits.notes


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_scored_without_its_label(form: Any) -> None:
    data = {"train": form(20), "validation": form(8), "test": form(4)}
    splits = open_splits(recipe(validation="validation", test="test"), data)
    assert splits.validation is not None
    assert splits.test is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (10, 4, 2)
    assert "2 of 4 examples of arrays have no label: they are not scored" in splits.notes
    alone = open_single_split(recipe(test="test"), "test", data)
    assert (len(alone.train), len(alone.whole)) == (2, 4)
    (domain,) = open_domains({"x": Domain(split="test")}, recipe().data, None, data).values()
    assert (len(domain.examples), len(domain.whole)) == (2, 4)


def test_a_part_without_any_label_chooses_nothing() -> None:
    blank = {"text": ["a", "b"], "label": ["", None]}
    data = {"train": half(8), "validation": blank, "test": blank}
    splits = open_splits(recipe(validation="validation", test="test"), data)
    assert splits.validation is None
    assert splits.test is not None
    assert splits.notes.count("arrays has no labels: nothing is scored on it") == 1


def test_the_monitor_and_a_limit_read_labels() -> None:
    watched = recipe().model_copy(update={"monitor": Monitor(limit=4)})
    examples = open_monitor_examples(watched, open_splits(watched, half(12)), half(12))
    assert examples is not None
    assert examples.labels is not None
    assert sorted(examples.labels.tolist()) == [0, 0, 1, 1]
    balanced = open_examples(half(12), limit=6)
    assert balanced.labels is not None
    assert np.bincount(balanced.labels + 1).tolist() == [2, 2, 2]


@pytest.mark.parametrize("label", ["x", "0.5", "-3", "50000000"])
def test_a_record_needs_no_labels(label: str, tmp_path: Path) -> None:
    """Not even such as no task could read."""
    source = table(tmp_path / "data", [("a", "one", ""), ("b", "two", label), ("c", "three", "1")])
    lengths = embedder(
        lambda texts: np.array(
            [[float(len(each)), float(each.count("e"))] for each in texts], np.float32
        ),
        name="lengths",
        kind="text",
        width=2,
    )
    made = record(source, lengths, tmp_path / "record", say=str)["train"]
    assert made.ids == ("a", "b", "c")


def digit_sources(tmp_path: Path, png: Any) -> None:
    """Images: labeled ones, and a folder with them, a test image and new ones, named otherwise."""
    for folder, numbers in {
        "own/train/a": [1, 2],
        "own/train/b": [3, 4],
        "own/test/a": [5],
    }.items():
        for number in numbers:
            path = tmp_path / folder / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(number))
    for number in (2, 5, 7, 8):
        path = tmp_path / "rest" / f"new-{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))


def test_images_that_stand_in_the_unlabeled_source_too(tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    def png(number: int) -> bytes:
        file = BytesIO()
        Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * number).save(file, "png")
        return file.getvalue()

    digit_sources(tmp_path, png)
    unlabeled = {"source": str(tmp_path / "rest")}
    splits = open_splits(recipe(tmp_path / "own", test="test", unlabeled=unlabeled))
    assert splits.train.ids[4:] == ("new-7.png", "new-8.png")
    name = f"data.unlabeled: 1 of 4 examples of {tmp_path / 'rest'} [train] are"
    assert splits.notes == [
        f"{name} labeled examples too: they are left out",
        f"{name} test examples too: they are left out",
    ]


@pytest.mark.parametrize("ids", [True, False], ids=["same ids", "other ids"])
def test_texts_that_stand_in_the_unlabeled_source_too(ids: bool, tmp_path: Path) -> None:
    rows = [(f"t{i}", f"text {i}", str(i % 2)) for i in range(4)]
    more = [(row[0] if ids else f"x{i}", row[1], "") for i, row in enumerate(rows)]
    own, rest = table(tmp_path / "own", rows), table(tmp_path / "rest", [*more, ("n", "new", "")])
    splits = open_splits(recipe(own, unlabeled={"source": str(rest)}))
    assert splits.train.ids[4:] == ("n",)
    assert len(splits.whole) == (5 if ids else 9)
    assert "data.unlabeled: 4 of 5 examples" in splits.notes[0]


def test_one_id_for_two_texts_is_refused(tmp_path: Path) -> None:
    own = table(tmp_path / "own", [("a", "one", "0"), ("b", "two", "1")])
    rest = table(tmp_path / "rest", [("a", "another", ""), ("c", "three", "")])
    with pytest.raises(DataError, match=r"1 ids of .* for other contents, such as 'a'; name a col"):
        open_splits(recipe(own, unlabeled={"source": str(rest)}))


def test_a_run_with_blank_labels_says_so(tmp_path: Path, capsys: Any) -> None:
    content = {
        "data": {"source": "mine", "test": None, "unlabeled": {}, "validation": 0.25},
        "student": {"network": "hashed-bag"},
        "train": {"epochs": 1, "batch": 4},
    }
    data = half(32)
    line = "16 of 32 examples of arrays have no label: they are read as unlabeled"
    run = train(content, out=tmp_path / "run", data=data)
    assert line in capsys.readouterr().out
    assert run.summary["data_notes"] == [line]
    assert f"- {line}." in (tmp_path / "run" / "report.md").read_text()
    assert run.summary["examples"]["labeled"] == 12
    assert "accuracy" in run.evaluate(data=data, split="test")
