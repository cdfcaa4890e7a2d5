"""What is looked at before a search: examples that stand in several parts, and few to choose by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from mentee.build.datasets import DatasetSplits
from mentee.build.unlabeled import contents_of
from mentee.data import Examples
from mentee.experiments.comparison_notes import known_to

Held: TypeAlias = npt.NDArray[Any]

MOST = 10_000
"""Images of a part that are compared by their looks."""
SIDE, NEAR, LEVELS = 16, 6, 6.0
"""Of two images of that side so many of 64 gradients may differ, and gray levels in the mean."""
NAMED = 3
BLOCK = 256
FEW = 40
"""Validation examples below which a search hardly chooses."""
ONES = np.array([bin(number).count("1") for number in range(1 << 16)], np.uint8)
"""Of a number of 16 bits."""


def look(splits: DatasetSplits) -> list[str]:
    """A line for each pair of parts that share examples, or nearly, and for a small validation."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    known = {name: part for name, part in parts.items() if part is not None}
    contents = {name: contents_of(part) for name, part in known.items()}
    return [*few(splits), *shared(known, contents), *near(known, contents)]


def few(splits: DatasetSplits) -> list[str]:
    """A line where validation is so small that chance chooses."""
    if splits.validation is None or len(splits.validation) >= FEW:
        return []
    return [
        f"validation has {known_to(len(splits.validation))}, so chance chooses among the better "
        "runs; hold out more of them, such as data.validation=0.3"
    ]


def shared(parts: Mapping[str, Examples], contents: Mapping[str, Held]) -> list[str]:
    """Examples whose contents stand in two parts, byte for byte."""
    return _lines(parts, contents, lambda a, b: np.isin(b, a), "the same as one of")


def near(parts: Mapping[str, Examples], contents: Mapping[str, Held]) -> list[str]:
    """Images that look like one of another part, and are stored otherwise."""
    if any(part.kind != "image" for part in parts.values()):
        return []
    steps = {name: -(-len(part) // MOST) for name, part in parts.items()}
    some = {name: part.take(range(0, len(part), steps[name])) for name, part in parts.items()}
    held = {name: each[:: steps[name]] for name, each in contents.items()}
    small = {name: thumbnails(part) for name, part in some.items()}
    parts_held = {n: np.column_stack([held[n], gradients(small[n]), small[n]]) for n in some}

    def alike(a: Held, b: Held) -> npt.NDArray[np.bool_]:
        return ~np.isin(b[:, 0], a[:, 0]) & resembles(b[:, 1:], a[:, 1:])

    return _lines(some, parts_held, alike, "nearly the same as one of")


def thumbnails(images: Examples) -> npt.NDArray[np.int64]:
    """`[n, 256]` gray levels of each image at 16×16."""
    levels = np.zeros((len(images), SIDE, SIDE), np.int64)
    for begin in range(0, len(images), BLOCK):
        rows = np.arange(begin, min(begin + BLOCK, len(images)))
        for row, pixels in zip(rows.tolist(), images.read(rows), strict=True):
            gray = torch.as_tensor(pixels).to(torch.float32).mean(-1)
            levels[row] = F.adaptive_avg_pool2d(gray[None], SIDE)[0].numpy().round()
    return levels.reshape(len(images), -1)


def gradients(levels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`[n]` 64 bits of each thumbnail: whether a cell of 8×8 is darker than the next one."""
    cells = levels.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).sum((2, 4))
    bits = np.roll(cells, -1, axis=2) > cells  # the last one is compared with the first
    return np.packbits(bits.reshape(len(cells), -1), axis=1).view(np.int64).ravel()


def resembles(of: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """`[n]` whether each resembles any of the others: by its gradients, and then by its levels.

    A row holds `gradients` first, the thumbnail behind. Time and memory of a block: O(n).
    """
    alike = np.zeros(len(of), np.bool_)
    for begin in range(0, len(of), BLOCK):
        block = of[begin : begin + BLOCK]
        differing = (block[:, :1] ^ others[:, 0][None]).view(np.uint16)
        close = ONES[differing].reshape(len(block), len(others), 4).sum(-1) <= NEAR
        rows, columns = np.nonzero(close)
        apart = np.abs(block[rows, 1:] - others[columns, 1:]).mean(1)
        alike[begin + rows[apart <= LEVELS]] = True
    return alike


def _lines(
    parts: Mapping[str, Examples],
    held: Mapping[str, Held],
    alike: Callable[[Held, Held], npt.NDArray[np.bool_]],
    words: str,
) -> list[str]:
    """A line for each pair of parts: how many of the later one are alike one of the earlier."""
    lines = []
    names = list(parts)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            rows = np.flatnonzero(alike(held[one], held[other]))
            if len(rows):
                some = ", ".join(parts[other].ids[row] for row in rows[:NAMED].tolist())
                lines.append(
                    f"{len(rows):,} of {len(parts[other]):,} {parts[other].modality.units} of "
                    f"{other} are {words} {one} ({some}): scores on {other} are too good by these"
                )
    return lines
