"""Folders of splits under the names that people give them, and what stands beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.errors import DataError

Make = Callable[..., Path]

SPELLINGS = [
    pytest.param(("Train", "Test", "Val"), id="capitals"),
    pytest.param(("TRAIN", "TEST", "DEV"), id="all capitals"),
    pytest.param(("training", "testing", "valid"), id="training, testing"),
    pytest.param(("train_set", "test-set", "valset"), id="sets"),
    pytest.param(("Train_Images", "Test data", "Validation Images"), id="images, data"),
]


@pytest.mark.parametrize("names", SPELLINGS)
def test_splits_of_images_by_usual_names(folder: Make, names: tuple[str, str, str]) -> None:
    train, test, validation = names
    root = folder(f"{train}/ant/0.png", f"{train}/bee/1.png", f"{test}/bee/2.png")
    folder(f"{validation}/ant/3.png")
    found = {split: open_examples(root, split=split) for split in ("train", "validation", "test")}
    assert found["train"].ids == (f"{train}/ant/0.png", f"{train}/bee/1.png")
    assert found["test"].ids == (f"{test}/bee/2.png",)
    assert found["validation"].ids == (f"{validation}/ant/3.png",)
    assert {each.classes for each in found.values()} == {("ant", "bee")}


@pytest.mark.parametrize("names", SPELLINGS[:3])
def test_splits_of_clips_by_usual_names(wav: Make, names: tuple[str, str, str]) -> None:
    train, test, _ = names
    for name in (f"{train}/low/0.wav", f"{train}/high/1.wav", f"{test}/low/2.wav"):
        root = wav(name).parents[2]
    assert open_examples(root).classes == ("high", "low")
    assert open_examples(root, split="test").ids == (f"{test}/low/2.wav",)


@pytest.mark.parametrize("names", SPELLINGS)
@pytest.mark.parametrize("ending", [".csv", ".TSV", ".jsonl"])
def test_tables_of_texts_by_usual_names(
    tmp_path: Path, names: tuple[str, str, str], ending: str
) -> None:
    mark = "\t" if ending == ".TSV" else ","
    for name in names:
        row = json.dumps({"text": f"a {name}", "label": 0})
        text = row if ending == ".jsonl" else f"text{mark}label\na {name}{mark}0\n"
        (tmp_path / f"{name}{ending}").write_text(text)
    for split, name in zip(("train", "test", "validation"), names, strict=True):
        assert open_examples(tmp_path, split=split).read(np.zeros(1, np.int64)) == [f"a {name}"]


def test_a_foreign_folder_is_left_out_of_splits_and_told(folder: Make) -> None:
    root = folder("train/ant/0.png", "test/ant/1.png", "extra/2.png", "docs/page.png")
    for split in ("train", "test"):
        examples = open_examples(root, split=split)
        assert examples.ids == (f"{split}/ant/{int(split == 'test')}.png",)
        assert examples.classes == ("ant",)
        assert examples.left_out == tuple(
            f"left out of {root}: the folder {name!r}, no split" for name in ("docs", "extra")
        )
    assert open_examples(root, split="extra").ids == ("extra/2.png",)


def test_a_foreign_folder_beside_splits_of_clips(wav: Make) -> None:
    for name in ("Train/low/0.wav", "Valid/low/1.wav", "noise/2.wav"):
        path = wav(name)
    root = path.parents[1]
    examples = open_examples(root, split="validation")
    assert (examples.ids, examples.classes) == (("Valid/low/1.wav",), ("low",))
    assert examples.left_out == (f"left out of {root}: the folder 'noise', no split",)


@pytest.mark.parametrize("train", ["train", "Training", "train_set"])
def test_train_alone_beside_a_foreign_folder_is_refused(folder: Make, train: str) -> None:
    root = folder(f"{train}/ant/0.png", f"{train}/bee/1.png", "extra/2.png")
    with pytest.raises(DataError) as raised:
        open_examples(root)
    assert str(raised.value) == (
        f"{root} holds {train!r}, which has folders in it, beside 'extra': splits or classes? Move "
        f"what is no split away, or name {root / train} as the source; if these are classes, list "
        "all of them in data.classes"
    )
    assert open_examples(root / train).classes == ("ant", "bee")
    both = open_examples(root, classes=["extra", train])
    assert both.labels is not None
    assert dict(zip(both.ids, both.labels.tolist(), strict=True)) == {
        f"{train}/ant/0.png": 1,
        f"{train}/bee/1.png": 1,
        "extra/2.png": 0,
    }


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("val", "valid"), "validation"),
        (("Train", "TRAIN"), "train"),
        (("Test", "testing"), "test"),
    ],
)
def test_two_folders_of_one_split_are_refused(
    folder: Make, names: tuple[str, str], split: str
) -> None:
    root = folder(*(f"{name}/ant/0.png" for name in names), "eval/ant/0.png")
    first, second = sorted(names)
    message = f"has '{first}' and '{second}', and either may be the split '{split}'"
    with pytest.raises(DataError, match=message):
        open_examples(root, split=split)
    assert open_examples(root, split=names[0]).ids == (f"{names[0]}/ant/0.png",)


def test_two_tables_of_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("train.csv", "val.csv", "validation_set.csv", "Valid.csv"):
        (tmp_path / name).write_text("text,label\na,0\n")
    with pytest.raises(DataError, match="has 'Valid' and 'val', and either may be the split"):
        open_examples(tmp_path, split="validation")


def test_one_table_of_files_for_all_splits_gives_each_its_own(folder: Make) -> None:
    root = folder("train/0.png", "train/1.png", "test/2.png")
    (root / "metadata.csv").write_text(
        "file_name,label\ntrain/0.png,ant\ntest/2.png,bee\n./train/1.png,bee\n"
    )
    assert open_examples(root).ids == ("train/0.png", "./train/1.png")
    test = open_examples(root, split="test")
    assert test.ids == ("test/2.png",)
    assert test.classes == ("bee",)
    (root / "val" / "x").mkdir(parents=True)
    with pytest.raises(DataError, match=r"metadata.csv has no rows of files in .*val: write one"):
        open_examples(root, split="validation")
