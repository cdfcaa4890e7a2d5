"""Examples of any size to vectors: what can be read together is read together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mentee.data.image_views import one_size, to_float
from mentee.models import InputContract, normalize
from mentee.teachers.pretrained.embedder import Contents


def in_order(
    count: int, groups: Iterable[list[int]], read: Callable[[list[int]], Iterable[Tensor]]
) -> Tensor:
    """What is read of groups of rows, in the order of all `count` rows."""
    by_row: dict[int, Tensor] = {}
    for rows in groups:
        by_row.update(zip(rows, read(rows), strict=True))
    return torch.stack([by_row[row] for row in range(count)])


SAMPLES = 2**20  # of one batch, about a minute at 16 kHz


def embed_clips(
    read: Callable[[Tensor], Tensor], *, shortest: int = 1, batch: int | None = None
) -> Callable[[Sequence[Tensor]], Tensor]:
    """A function from clips of any lengths to vectors, without padding one for another's sake.

    `read` takes float32 `[b, samples]`; a clip with fewer samples than `shortest` is filled up with
    zeros. So many clips are read at once; None: as many as fit a bounded memory.
    """

    def vectors(clips: Sequence[Tensor]) -> Tensor:
        filled = [F.pad(clip.float(), (0, max(0, shortest - len(clip)))) for clip in clips]
        parts: list[list[int]] = []
        for length, rows in by_length(filled).items():
            count = batch or max(1, SAMPLES // length)
            parts += [rows[at : at + count] for at in range(0, len(rows), count)]
        return in_order(
            len(clips), parts, lambda rows: read(torch.stack([filled[row] for row in rows]))
        )

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
    how: str = "bilinear",
    margin: float = 1.0,
) -> Callable[[Contents], Tensor]:
    """A function from images as `Examples.read` gives them to vectors.

    `read` takes normalized float32 `[b, channels, size, size]`. The shorter side is resized to
    `margin · size`, by the interpolation `how`, and the center cut out; `size` None: images stay as
    they are, and those of one size are read together. Of a gray image 3 channels are made equal. So
    many images are read at once; None: as many as fit a bounded memory.
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
        def read_rows(rows: list[int]) -> Tensor:
            return of_one_size(one_size([images[row] for row in rows], size, how, margin=margin))

        return in_order(len(images), groups(images, size), read_rows)

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
