"""`label: false`: no source gives out a label, and none is even read."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from mentee.data import Examples, open_examples
from mentee.errors import DataError

PIXELS = np.arange(4 * 16, dtype=np.uint8).reshape(4, 4, 4)


def arrays(tmp_path: Path, png: Any) -> Any:
    return {"image": PIXELS, "label": [0, -2, 7, 2]}


def table(tmp_path: Path, png: Any) -> Any:
    numbers = datasets.Sequence(datasets.Value("int64"))
    features = datasets.Features(image=datasets.Image(), label=numbers)
    rows = [{"image": {"bytes": png()}, "label": [1] * (row + 1)} for row in range(4)]
    return datasets.Dataset.from_list(rows, features=features)


def texts(tmp_path: Path, png: Any) -> Any:
    with (tmp_path / "train.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], ["a", "0.5"], ["b", "1"], ["c", "2"]])
    return tmp_path / "train.csv"


def class_folders(tmp_path: Path, png: Any) -> Any:
    for name in ("cat/0.png", "dog/0.png", "loose.png"):
        path = tmp_path / "images" / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    return tmp_path / "images"


@pytest.mark.parametrize("make", [arrays, table, texts, class_folders])
def test_what_cannot_be_read_with_labels_can_without(
    make: Callable[..., Any], tmp_path: Path, png: Any
) -> None:
    source = make(tmp_path, png)
    with pytest.raises(DataError):
        open_examples(source)
    assert bare(open_examples(source, label=False))


@pytest.mark.parametrize("name", ["digits"])
def test_embedded_data_lose_their_labels(name: str) -> None:
    whole = open_examples(f"embedded:{name}")
    result = open_examples(f"embedded:{name}", label=False)
    assert bare(result)
    assert result.ids == whole.ids
    assert result.fingerprint() == whole.fingerprint(labels=False)


def bare(examples: Examples) -> bool:
    return (examples.task.name, examples.labels, examples.mask, examples.classes) == (
        "none",
        None,
        None,
        None,
    )


@pytest.mark.parametrize("name", ["unlabeled", "unlabelled"])
def test_a_folder_of_unlabeled_images_is_a_split(name: str, tmp_path: Path, png: Any) -> None:
    for file in ("train/cat/0.png", "train/dog/0.png", f"{name}/0.png", f"{name}/1.png"):
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    for asked in ("unlabeled", "unlabelled"):
        result = open_examples(tmp_path / "images", split=asked, label=False)
        assert result.ids == (f"{name}/0.png", f"{name}/1.png")
    assert open_examples(tmp_path / "images").classes == ("cat", "dog")
