"""One split of a source: which examples there are, what is known of them, how to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.data.hashing import Int64Array, hash_ids
from mentee.data.images import Images
from mentee.data.labels import Labels
from mentee.errors import DataError

Task: TypeAlias = Literal["single", "multi", "none"]
ImageTensors: TypeAlias = Tensor | list[Tensor]
"""uint8 `[b, h, w, c]`, or a list of `[h, w, c]` where the sizes may differ."""

_SAMPLE = 1024


@dataclass(frozen=True, eq=False)
class Examples:
    """An immutable view of one split.

    Attributes:
        images: the images of the whole source.
        rows: `[n]` where the examples stand in the source.
        ids: the examples' own names.
        keys: `[n]` the ids' hashes, in [0, 2⁶³), the same in every process and for ever.
        labels: `[n]` int64 class numbers, or `[n, k]` float32 0/1, or None.
        mask: `[n, k]`, true where a label of several is known; None for one class an example.
        classes: the `k` class names in the order of the numbers, or None.
        name: what to call the split in messages.
    """

    images: Images
    rows: Int64Array
    ids: tuple[str, ...]
    keys: Int64Array
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    classes: tuple[str, ...] | None = None
    name: str = "examples"

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError(f"{self.name} is empty: give it at least one example")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return self.images.channels

    @property
    def task(self) -> Task:
        """`single`: one class an example; `multi`: any number of classes; `none`: no labels."""
        if self.labels is None:
            return "none"
        return "single" if self.labels.ndim == 1 else "multi"

    def take(self, rows: Sequence[int] | npt.NDArray[Any]) -> Examples:
        """Some of the examples, in the order given.

        Args:
            rows: row numbers in this view, each in [0, n).

        Returns:
            A view of the same images; nothing is copied or decoded.

        Raises:
            DataError: there are no rows, or one is out of range.
        """
        index = np.asarray(rows, np.int64).reshape(-1)
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise DataError(
                f"rows {index.min()} to {index.max()} were asked of {self.name}, "
                f"which has rows 0 to {len(self) - 1}"
            )
        return replace(
            self,
            rows=self.rows[index],
            ids=tuple(self.ids[i] for i in index.tolist()),
            keys=self.keys[index],
            labels=None if self.labels is None else self.labels[index],
            mask=None if self.mask is None else self.mask[index],
        )

    def load(self) -> bool:
        """Decode all images into memory where they are small and of one size.

        Returns:
            True where reading is only a copy from now on; false where every read decodes.

        Raises:
            DataError: an image is damaged.
        """
        return self.images.load(self.rows)

    def read(self, rows: npt.NDArray[np.int64]) -> ImageTensors:
        """The images of some examples.

        The first call decodes the whole view into memory where it fits.

        Args:
            rows: `[b]` row numbers in this view.

        Returns:
            uint8 `[b, h, w, c]`; a list of `[h, w, c]` where the sizes may differ.

        Raises:
            DataError: an image is damaged.
        """
        places = self.rows[rows]
        if not self.images.ready(places):
            self.load()
        pixels = self.images.read(places)
        if isinstance(pixels, list):
            return [torch.from_numpy(image) for image in pixels]
        return torch.from_numpy(pixels)

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the keys, labels, class names and contents, in this order.

        Of the contents, the stored bytes of 1,024 evenly spaced examples count (all where there
        are fewer), so that a large source need not be read.

        Returns:
            The same text in every process while none of these changes.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self.keys.astype("<i8").tobytes())
        if self.labels is not None:
            digest.update(self.labels.astype("<f8").tobytes())
        if self.mask is not None:
            digest.update(self.mask.tobytes())
        digest.update(repr((len(self), self.classes, self.channels)).encode())
        for row in np.linspace(0, len(self) - 1, min(len(self), _SAMPLE)).astype(np.int64):
            digest.update(hashlib.blake2b(self.images.raw(int(self.rows[row]))).digest())
        return digest.hexdigest()


def make_examples(images: Images, ids: Sequence[str], labels: Labels, *, name: str) -> Examples:
    """All examples of a source.

    Args:
        images: `n` images.
        ids: their `n` names, each only once.
        labels: what is known of their classes.
        name: what to call them in messages.

    Returns:
        The view of all `n`.

    Raises:
        DataError: there are none, an id stands there twice, or there are not `n` labels.
    """
    if labels.values is not None and len(labels.values) != len(ids):
        raise DataError(f"{name} has {len(ids)} images and {len(labels.values)} labels")
    return Examples(
        images=images,
        rows=np.arange(len(ids)),
        ids=tuple(ids),
        keys=hash_ids(ids),
        labels=labels.values,
        mask=labels.mask,
        classes=labels.classes,
        name=name,
    )


def row_ids(name: str, n: int) -> list[str]:
    """The ids of a source that names none: `name/0`, `name/1`, ..."""
    return [f"{name}/{row}" for row in range(n)]
