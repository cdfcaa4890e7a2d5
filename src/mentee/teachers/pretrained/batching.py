"""Examples of any size to vectors: what can be read together is read together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mentee.data.image_views import one_size, to_float
from mentee.models import InputContract, normalize
from mentee.teachers.pretrained.embedder import Contents

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
        by_row: dict[int, Tensor] = {}
        for length, rows in by_length(filled).items():
            count = batch or max(1, SAMPLES // length)
            for at in range(0, len(rows), count):
                part = rows[at : at + count]
                vector = read(torch.stack([filled[row] for row in part]))
                by_row.update(zip(part, vector, strict=True))
        return torch.stack([by_row[row] for row in range(len(clips))])

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


PIXELS = 32 * 128 * 128  # of one batch; the widest maps of EfficientNet-lite0 then take 50 MB


def embed_images(
    read: Callable[[Tensor], Tensor],
    contract: InputContract,
    *,
    size: int | None,
    channels: int = 3,
    batch: int | None = None,
) -> Callable[[Contents], Tensor]:
    """A function from images as `Examples.read` gives them to vectors.

    Args:
        read: normalized float32 `[b, channels, size, size]` → `[b, d]`.
        contract: mean and std of each channel.
        size: the shorter side is resized to it and the center cut out; None: images stay as they
            are, and those of one size are read together.
        channels: 3 makes three equal channels of a gray image.
        batch: images read at once; None: as many as fit a bounded memory.

    Returns:
        The function; it gives float32 `[b, d]`.
    """

    def of_one_size(pixels: Tensor) -> Tensor:
        count = batch or max(1, PIXELS // (pixels.shape[1] * pixels.shape[2]))
        return torch.cat([read(prepared(part)) for part in torch.split(pixels, count)])

    def prepared(pixels: Tensor) -> Tensor:
        images = to_float(pixels)
        if images.shape[1] != channels:
            images = images.expand(-1, channels, -1, -1) if channels > 1 else images.mean(1, True)
        images = images.contiguous(memory_format=torch.channels_last)
        return normalize(images, contract)

    def vectors(images: Contents) -> Tensor:
        by_row: dict[int, Tensor] = {}
        for rows in groups(images, size):
            pixels = one_size([images[row] for row in rows], size)
            by_row.update(zip(rows, of_one_size(pixels), strict=True))
        return torch.stack([by_row[row] for row in range(len(images))])

    return vectors


def groups(images: Contents, size: int | None) -> list[list[int]]:
    """Rows that can be read together: few at once where they are resized, else of one shape."""
    if size is not None:
        channels = {c: [r for r, x in enumerate(images) if x.shape[2] == c] for c in (1, 3)}
        return [
            rows[at : at + 256] for rows in channels.values() for at in range(0, len(rows), 256)
        ]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        shapes.setdefault(tuple(image.shape), []).append(row)
    return list(shapes.values())
