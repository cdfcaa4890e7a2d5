from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mentee.data import hash_id, open_examples
from mentee.errors import DataError

Folder = Callable[..., Path]


def test_class_folders(folder: Folder) -> None:
    root = folder("dog/2.png", "cat/b/1.png", "cat/0.PNG", ".hidden/3.png", "dog/.4.png")
    (root / "dog" / "notes.txt").write_text("no image")
    examples = open_examples(root)
    assert examples.ids == ("cat/0.PNG", "cat/b/1.png", "dog/2.png")
    assert examples.keys.tolist() == [hash_id(text) for text in examples.ids]
    assert examples.classes == ("cat", "dog")
    assert examples.labels is not None
    assert examples.labels.tolist() == [0, 0, 1]
    assert examples.task.name == "single"
    read = examples.read(np.array([2, 0]))
    np.testing.assert_array_equal(read[0], np.asarray(Image.open(root / "dog/2.png")))


def test_a_folder_that_is_named_like_an_image_is_told(folder: Folder) -> None:
    root = folder("cat/0.png", "dog/x.png/1.png")
    (root / "cat/2.PNG").mkdir()
    examples = open_examples(root)
    assert examples.ids == ("cat/0.png", "dog/x.png/1.png")
    assert examples.left_out == tuple(
        f"{root / name} is a folder, though it is named like one of the images"
        for name in ("cat/2.PNG", "dog/x.png")
    )


def test_splits_share_their_classes(folder: Folder) -> None:
    root = folder("train/ant/0.png", "train/cat/1.png", "val/cat/2.png", "test_night/bee/3.png")
    validation = open_examples(str(root), split="validation")
    assert validation.ids == ("val/cat/2.png",)
    assert validation.classes == ("ant", "bee", "cat")
    assert validation.labels is not None
    assert validation.labels.tolist() == [2]
    assert open_examples(root, split="test_night").ids == ("test_night/bee/3.png",)
    with pytest.raises(DataError, match="has no split 'test': did you mean 'test_night'"):
        open_examples(root, split="test")


def test_a_class_may_be_called_train(folder: Folder) -> None:
    root = folder("bus/0.png", "train/1.png")
    assert open_examples(root).classes == ("bus", "train")
    with pytest.raises(DataError, match="no split 'test' in it: give 'test' a source of its own"):
        open_examples(root, split="test")


def test_a_folder_may_be_one_split_by_its_name(folder: Folder) -> None:
    root = folder("cat/0.png", root="test")
    assert open_examples(root, split="test").ids == ("cat/0.png",)


def test_the_order_of_classes_can_be_given(folder: Folder) -> None:
    root = folder("cat/0.png", "dog/1.png")
    examples = open_examples(root, classes=["dog", "owl", "cat"])
    assert examples.labels is not None
    assert examples.labels.tolist() == [2, 0]
    with pytest.raises(DataError, match="class 'dog' of the source is not among"):
        open_examples(root, classes=["cat"])


def test_images_without_classes(folder: Folder) -> None:
    examples = open_examples(folder("0.png", "1.png"))
    assert examples.task.name == "none"
    assert examples.labels is None


@pytest.mark.parametrize(
    ("channels", "c"), [(None, 3), (1, 1), (3, 3)], ids=["told by all", "gray", "color"]
)
def test_channels(folder: Folder, channels: int | None, c: int) -> None:
    root = folder("cat/0.png", mode="L")
    folder("dog/1.png")  # in color
    examples = open_examples(root, channels=channels)
    assert examples.channels == c
    assert examples.read(np.arange(2)).shape == (2, 6, 5, c)


def test_metadata(folder: Folder) -> None:
    root = folder("train/0.png", "train/deep/1.png")
    table = root / "train" / "metadata.csv"
    table.write_text("file_name,label,name\ndeep/1.png,dog,b\n0.png,cat,a\n")
    examples = open_examples(root)
    assert examples.ids == ("train/deep/1.png", "train/0.png")
    assert examples.labels is not None
    assert examples.labels.tolist() == [1, 0]
    assert open_examples(root, id="name").ids == ("b", "a")
    with pytest.raises(DataError, match="has no column 'lable': did you mean 'label'"):
        open_examples(root, label="lable")
    with pytest.raises(DataError, match="has no column 'nam': did you mean 'name'"):
        open_examples(root, id="nam")


def test_metadata_with_class_numbers(folder: Folder) -> None:
    root = folder("0.png", "1.png")
    (root / "metadata.csv").write_text("file_name,label\n0.png,10\n1.png,9\n")
    labels = open_examples(root).labels
    assert labels is not None
    assert labels.tolist() == [10, 9]


def test_metadata_with_several_classes_at_once(folder: Folder) -> None:
    root = folder("0.png", "1.png")
    (root / "metadata.csv").write_text("file_name,wet,cold\n0.png,1,\n1.png,0,1\n")
    examples = open_examples(root, label=["wet", "cold"])
    assert examples.task.name == "multi"
    assert examples.classes == ("wet", "cold")
    assert examples.labels is not None
    assert examples.mask is not None
    assert examples.labels.tolist() == [[1, 0], [0, 1]]
    assert examples.mask.tolist() == [[True, False], [True, True]]
    assert open_examples(root).task.name == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,label\n", "has no rows"),
        ("file_name,label\n7.png,cat\n", r"1 files of .* do not exist, such as '7.png'"),
        ("name,label\n0.png,cat\n", "has no column 'file_name'"),
        ("file_name,label\n0.png,cat\n0.png,cat\n", "'0.png'; an id must belong to one"),
    ],
)
def test_metadata_that_is_refused(folder: Folder, text: str, message: str) -> None:
    root = folder("0.png")
    (root / "metadata.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        open_examples(root)


def test_folders_that_are_refused(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images; expected a folder for each class"):
        open_examples(tmp_path / "empty")
    with pytest.raises(DataError, match=r"holds 1 images beside its class folders, such as '0.png"):
        open_examples(folder("0.png", "cat/1.png"))
    with pytest.raises(DataError, match=r"has no metadata.csv, so it has no columns"):
        open_examples(folder("cat/0.png", root="plain"), label="label")


def test_a_damaged_image_is_named(folder: Folder) -> None:
    root = folder("cat/0.png", "cat/1.png")
    (root / "cat" / "1.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DataError, match=r"the image 'cat/1.png' cannot be decoded"):
        open_examples(root).read(np.array([0]))


@pytest.mark.parametrize("other", ["metadata.jsonl", "metadata.tsv"])
def test_a_second_table_of_metadata_is_left_out_and_told(folder: Folder, other: str) -> None:
    root = folder("0.png")
    (root / "metadata.csv").write_text("file_name,label\n0.png,1\n")
    assert not open_examples(str(root)).left_out
    (root / other).write_text("{}")
    assert open_examples(str(root)).left_out == (f"left out of {root}: {other}",)
