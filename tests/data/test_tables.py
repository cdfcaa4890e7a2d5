from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from mentee.data import open_examples
from mentee.errors import DataError

Png = Callable[..., bytes]


def _dataset(png: Png, n: int = 4, **columns: Any) -> datasets.Dataset:
    names = datasets.ClassLabel(names=["cat", "dog"])
    content = {"image": [png() for _ in range(n)], "label": [i % 2 for i in range(n)], **columns}
    table = datasets.Dataset.from_dict(content).cast_column("image", datasets.Image())
    return table.cast_column("label", names)


def test_a_dataset_object(png: Png) -> None:
    dataset = _dataset(png)
    examples = open_examples(dataset, split="test")
    assert examples.ids == ("test/0", "test/1", "test/2", "test/3")
    assert examples.classes == ("cat", "dog")
    assert examples.labels is not None
    assert examples.labels.tolist() == [0, 1, 0, 1]
    rows = np.array([3, 1])
    for got, row in zip(examples.read(rows), rows.tolist(), strict=True):
        np.testing.assert_array_equal(got, np.asarray(dataset[row]["image"]))


def test_selected_and_formatted_datasets_keep_their_rows(png: Png) -> None:
    dataset = _dataset(png)
    part = dataset.select([2, 1]).with_format("numpy")
    np.testing.assert_array_equal(
        open_examples(part).read(np.array([0]))[0], np.asarray(dataset[2]["image"])
    )


def test_a_dataset_dict(png: Png) -> None:
    both = datasets.DatasetDict(train=_dataset(png), test=_dataset(png, 2))
    assert len(open_examples(both, split="test")) == 2
    with pytest.raises(DataError, match="no split 'tets': did you mean 'test'"):
        open_examples(both, split="tets")


def test_columns_can_be_named(png: Png) -> None:
    dataset = _dataset(png, id=[10, 11, 12, 13], other=["a", "b", "c", "d"])
    dataset = dataset.rename_columns({"image": "photo", "label": "animal"})
    examples = open_examples(dataset, image="photo", label="animal", id="id")
    assert examples.ids == ("10", "11", "12", "13")
    assert open_examples(dataset).classes == ("cat", "dog")
    for options in ({"image": "foto"}, {"label": "animl"}, {"id": "idd"}):
        with pytest.raises(DataError, match=r"has no column .*did you mean"):
            open_examples(dataset, **options)


@pytest.mark.parametrize(
    ("ids", "message"),
    [(["a", "b", "a", "c"], "more than once: 'a'"), (["a", None, "b", "c"], "row 1 .* no id")],
)
def test_ids_that_are_refused(png: Png, ids: list[str | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_examples(_dataset(png, name=ids), id="name")


def test_several_classes_at_once(png: Png) -> None:
    dataset = _dataset(png, tags=[[0], [], [1, 0], [1]], wet=[1, 0, -1, 1], cold=[0.0, 1, 1, None])
    feature = datasets.Sequence(datasets.ClassLabel(names=["a", "b"]))
    dataset = dataset.cast_column("tags", feature)
    sets = open_examples(dataset, label="tags")
    assert sets.classes == ("a", "b")
    assert sets.labels is not None
    assert sets.labels.tolist() == [[1, 0], [0, 0], [1, 1], [0, 1]]
    columns = open_examples(dataset, label=["wet", "cold"])
    assert columns.labels is not None
    assert columns.mask is not None
    assert columns.labels.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    assert columns.mask.tolist() == [[True, True], [True, True], [False, True], [True, False]]


def test_parquet_files_as_pandas_writes_them(png: Png, tmp_path: Path) -> None:
    for split, n in (("train", 3), ("test", 2)):
        content = {"image": [png() for _ in range(n)], "label": ["b", "a", "b"][:n]}
        datasets.Dataset.from_dict(content).to_parquet(tmp_path / f"{split}.parquet")
    train = open_examples(str(tmp_path))
    assert train.ids == ("train/0", "train/1", "train/2")
    assert train.classes == ("a", "b")
    file = open_examples(str(tmp_path / "test.parquet"))
    assert file.ids == open_examples(tmp_path, split="test").ids == ("test/0", "test/1")
    assert len(open_examples(str(tmp_path / "t*.parquet"))) == 5
    with pytest.raises(DataError, match="no parquet files of split 'validation'"):
        open_examples(tmp_path, split="validation")
    with pytest.raises(DataError, match=r"train.parquet has no splits, so there is no .* 'test'"):
        open_examples(tmp_path / "train.parquet", split="test")


def test_a_damaged_image_is_named(png: Png) -> None:
    files = {"image": [png(), b"rubbish"], "label": [0, 1]}
    examples = open_examples(datasets.Dataset.from_dict(files))
    with pytest.raises(DataError, match="the image 'train/1' cannot be decoded"):
        examples.read(np.array([0]))


def test_tables_that_are_refused(png: Png, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        open_examples(_dataset(png).select([]))
    pixels = datasets.Dataset.from_dict({"image": [[[1, 2], [3, 4]]], "label": [0]})
    with pytest.raises(DataError, match="expected encoded files"):
        open_examples(pixels)
    with pytest.raises(
        DataError, match=r"not clear which column .* name one of title as `image` or `audio` or"
    ):
        open_examples(datasets.Dataset.from_dict({"title": ["a"]}))
    two = _dataset(png).rename_column("label", "coarse")
    two = two.add_column("fine", [0, 1, 0, 1]).cast_column("fine", two.features["coarse"])
    with pytest.raises(DataError, match=r"several columns of classes \(coarse, fine\)"):
        open_examples(two)
    (tmp_path / "train.parquet").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        open_examples(tmp_path / "train.parquet")


def test_the_hub(png: Png, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(path: str, name: str | None, *, split: str) -> datasets.Dataset:
        asked.append((path, name, split))
        return _dataset(png)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(open_examples("hub:owner/name", split="test")) == 4
    assert open_examples("hub:owner/name:small").ids[0] == "train/0"
    assert asked == [("owner/name", None, "test"), ("owner/name", "small", "train")]


def test_the_hub_without_a_network() -> None:
    with pytest.raises(DataError, match=r"'owner/name' \[train\] cannot be loaded .*parquet"):
        open_examples("hub:owner/name")
