"""Examples that stand in two parts, byte for byte or nearly."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from mentee.build.datasets import open_splits
from mentee.experiments.distill.look import gradients, look, resembles, thumbnails
from mentee.recipe import read

RECIPE = {"data": {"source": "mine", "validation": None}, "student": "resnet8-cifar"}


def pictures(count: int, seed: int) -> np.ndarray:
    """Smooth random images, each unlike the others."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3))
    return np.repeat(np.repeat(coarse, 4, 1), 4, 2).astype(np.uint8)


def lines(train: np.ndarray, test: np.ndarray) -> list[str]:
    data: dict[str, Any] = {
        "train": {"image": train, "label": np.arange(len(train)) % 2},
        "test": {"image": test, "label": np.arange(len(test)) % 2},
    }
    return look(open_splits(read(RECIPE), data))


def test_different_images_give_no_line() -> None:
    assert lines(pictures(40, 0), pictures(30, 1)) == []


@pytest.mark.parametrize(
    ("count", "expected"), [(16, "validation has 16 examples.* ± 0.24"), (40, "")]
)
def test_a_validation_that_can_hardly_choose_is_named(count: int, expected: str) -> None:
    content = {
        part: {"image": pictures(n, len(part)), "label": np.arange(n) % 2}
        for part, n in {"train": 40, "validation": count}.items()
    }
    parts = {"validation": "validation", "test": None}
    recipe = read({**RECIPE, "data": {"source": "mine", **parts}})
    assert [bool(re.search(expected, line)) for line in look(open_splits(recipe, content))] == (
        [True] if expected else []
    )


def test_the_same_image_in_two_parts_is_named() -> None:
    train, test = pictures(40, 0), pictures(30, 1)
    test[7] = train[3]
    (line,) = lines(train, test)
    assert "1 of 30 images of test are the same as one of train" in line


def test_an_image_with_noise_or_another_brightness_is_nearly_the_same() -> None:
    train, test = pictures(40, 0), pictures(30, 1)
    noise = np.random.default_rng(2).integers(-6, 7, train[3].shape)
    test[7] = np.clip(train[3].astype(int) + noise, 0, 255)
    test[9] = np.clip(train[5].astype(int) + 4, 0, 255)
    (line,) = lines(train, test)
    assert "2 of 30 images of test are nearly the same as one of train" in line


def test_an_image_of_the_same_shapes_in_other_colors_is_another() -> None:
    train, test = pictures(40, 0), pictures(30, 1)
    test[7] = train[3] // 3
    assert lines(train, test) == []


def test_all_pairs_are_compared_in_blocks() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (600, 256))
    rows = np.column_stack([gradients(levels), levels])
    found = resembles(rows[::-1], rows[:300])
    assert found.tolist() == [False] * 300 + [True] * 300


def test_thumbnails_are_means_of_gray() -> None:
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, :16] = (30, 60, 90)
    data = {"train": {"image": np.repeat(image, 4, 0), "label": np.array([0, 1, 0, 1])}}
    splits = open_splits(read({**RECIPE, "data": {**RECIPE["data"], "test": None}}), data)
    levels = thumbnails(splits.train).reshape(4, 16, 16)
    assert (levels[:, :8] == 60).all()
    assert (levels[:, 8:] == 0).all()
