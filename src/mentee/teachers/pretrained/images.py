"""What image teachers share: bytes of any size → normalized batches of one size → vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mentee.data.pixels import one_size, to_float
from mentee.models import InputContract, normalize
from mentee.teachers.pretrained.ready import Contents

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
        said: dict[int, Tensor] = {}
        for rows in groups(images, size):
            pixels = one_size([images[row] for row in rows], size)
            said.update(zip(rows, of_one_size(pixels), strict=True))
        return torch.stack([said[row] for row in range(len(images))])

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
