"""Data passed from Python: what has no splits is never handed out as another split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mentee import record
from mentee.build.datasets import open_splits
from mentee.build.evaluation_data import open_monitor_examples
from mentee.data import open_examples
from mentee.errors import DataError
from mentee.recipe import Recipe
from mentee.recipe.schema import Monitor
from mentee.teachers.pretrained import embedder

ONE, OTHER = [0, 1] * 10, [1, 0] * 3


def images(labels: list[int]) -> dict[str, Any]:
    """Of one gray: the class; torch or NumPy."""
    pixels = torch.tensor(labels, dtype=torch.uint8).reshape(-1, 1, 1).expand(-1, 4, 4)
    return {"image": pixels.contiguous(), "label": torch.tensor(labels)}


def clips(labels: list[int]) -> dict[str, Any]:
    audio = [
        np.sin(np.arange(50) / (2 + label + i)).astype(np.float32) for i, label in enumerate(labels)
    ]
    return {"audio": audio, "sample_rate": 16_000, "label": labels}


def texts(labels: list[int]) -> dict[str, Any]:
    return {"text": ["no" if label else "yes" for label in labels], "label": labels}


def table(labels: list[int]) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_dict(texts(labels))


def opened(labels: list[int]) -> Any:
    return open_examples(texts(labels))


FORMS = [images, clips, texts, table, opened]


def recipe(**data: Any) -> Recipe:
    return Recipe.model_validate({"data": {"source": "x", **data}, "student": {"network": "x"}})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("names", [{"test": "test"}, {"validation": "validation", "test": None}])
def test_data_without_splits_are_the_training_part_alone(
    form: Callable[[list[int]], Any], names: dict[str, str | None]
) -> None:
    part = next(iter(names))
    with pytest.raises(DataError, match=f"no split '{part}' in them; pass a mapping of splits"):
        open_splits(recipe(**{"validation": None, **names}), form(ONE))
    cut = open_splits(recipe(validation=0.5, test=None), form(ONE))
    assert cut.validation is not None
    assert not np.isin(cut.validation.keys, cut.train.keys).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["validation", "val"])
def test_a_mapping_of_splits(form: Callable[[list[int]], Any], name: str) -> None:
    data = {"train": form(ONE), name: form(OTHER)}
    splits = open_splits(recipe(validation="validation", test=None), data)
    assert splits.train.labels is not None
    assert splits.train.labels.tolist() == ONE
    assert splits.validation is not None
    assert splits.validation.labels is not None
    assert splits.validation.labels.tolist() == OTHER
    with pytest.raises(DataError, match="the data passed have no split 'test'"):
        open_splits(recipe(validation=None), data)


@pytest.mark.parametrize("form", FORMS)
def test_the_monitor_is_given_no_training_examples(form: Callable[[list[int]], Any]) -> None:
    watched = recipe(validation=None, test=None)
    watched = watched.model_copy(update={"monitor": Monitor(split="test")})
    data = form(ONE)
    with pytest.raises(DataError, match="no split 'test' in them"):
        open_monitor_examples(watched, open_splits(watched, data), data)


@pytest.mark.parametrize("form", [texts, table])
def test_one_array_is_not_recorded_as_two_splits(
    form: Callable[[list[int]], Any], tmp_path: Path
) -> None:
    lengths = embedder(
        lambda texts: torch.tensor([[float(len(each))] for each in texts]),
        name="lengths",
        kind="text",
        width=1,
    )
    with pytest.raises(DataError, match="no split 'test' in them"):
        record(form(ONE), lengths, tmp_path / "r", splits=["train", "test"], say=str)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("where", [(), ("train",)])
def test_a_stream_is_no_table(where: tuple[str, ...]) -> None:
    stream = table(ONE).to_iterable_dataset()
    with pytest.raises(DataError, match="an IterableDataset is read in one order only"):
        open_examples(dict.fromkeys(where, stream) if where else stream)
