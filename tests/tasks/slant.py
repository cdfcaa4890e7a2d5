"""A real regression on real data: how far handwritten digits lean to the right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data import Examples, open_embedded, open_examples
from mentee.tasks import Regression, Task

Floats = npt.NDArray[np.float64]


def slant(images: npt.NDArray[np.uint8]) -> Floats:
    """The shear of each image, `[n]`: the covariance of x and −y over the variance of y."""
    weights = images.astype(np.float64)
    weights /= weights.sum((1, 2), keepdims=True)
    y, x = np.mgrid[: images.shape[1], : images.shape[2]].astype(np.float64)
    dx = x - (weights * x).sum((1, 2), keepdims=True)
    dy = y - (weights * y).sum((1, 2), keepdims=True)
    found: Floats = -(weights * dx * dy).sum((1, 2)) / (weights * dy**2).sum((1, 2))
    return found


def pixels(split: str, n: int | None = None) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """(images, ids) of a split of scikit-learn's digits."""
    digits = open_embedded("digits", split=split)
    images = digits.read(np.arange(len(digits) if n is None else n))
    return np.asarray(images)[..., 0], list(digits.ids[: len(images)])


def opened(n: int = 400, task: Task | None = None, **targets: Any) -> dict[str, Examples]:
    """Both splits: slant in degrees, or what functions of the images in `targets` say."""
    found = {}
    for split, count in (("train", n), ("test", 150)):
        images, ids = pixels(split, count)
        labels = [f(images) for f in targets.values()] or [np.degrees(np.arctan(slant(images)))]
        arrays = {"image": images, "label": np.stack(labels, 1), "id": ids}
        found[split] = open_examples(arrays, task=task or Regression(), split=split)
    return found
