"""Clips of several lengths, read together where they have one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SAMPLES = 2**20  # of one batch, about a minute at 16 kHz


def embed_clips(
    read: Callable[[Tensor], Tensor], *, shortest: int = 1, batch: int | None = None
) -> Callable[[Sequence[Tensor]], Tensor]:
    """A function from clips of any lengths to vectors, without padding one for another's sake.

    Args:
        read: float32 `[b, samples]` → `[b, d]`.
        shortest: a clip with fewer samples is filled up with zeros at its end.
        batch: clips read at once; None: as many as fit a bounded memory.

    Returns:
        The function; it gives `[b, d]`.
    """

    def vectors(clips: Sequence[Tensor]) -> Tensor:
        filled = [F.pad(clip.float(), (0, max(0, shortest - len(clip)))) for clip in clips]
        said: dict[int, Tensor] = {}
        for length, rows in by_length(filled).items():
            count = batch or max(1, SAMPLES // length)
            for at in range(0, len(rows), count):
                part = rows[at : at + count]
                vector = read(torch.stack([filled[row] for row in part]))
                said.update(zip(part, vector, strict=True))
        return torch.stack([said[row] for row in range(len(clips))])

    return vectors


def by_length(clips: Sequence[Tensor]) -> dict[int, list[int]]:
    """Length to the rows of the clips that have it.

    Example:
        >>> by_length([torch.zeros(2), torch.zeros(3), torch.ones(2)])
        {2: [0, 2], 3: [1]}
    """
    rows: dict[int, list[int]] = {}
    for row, clip in enumerate(clips):
        rows.setdefault(len(clip), []).append(row)
    return rows
