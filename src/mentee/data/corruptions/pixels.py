"""What the corruptions of images share: units, lengths, and reading between the pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mentee.data.corruptions.payload import Floats

Pixels = npt.NDArray[np.uint8]
"""`[b, h, w, c]`."""

Unit = npt.NDArray[np.float32]
"""The same with values in [0, 1]."""

GRAY = (0.299, 0.587, 0.114)
"""What red, green and blue count for in the gray of a color (ITU-R BT.601)."""


def to_unit(pixels: Pixels) -> Unit:
    """[0, 255] → [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def from_unit(values: Floats) -> Pixels:
    """[0, 1] → [0, 255], cut at both ends and rounded."""
    rounded = np.rint(values * 255).clip(0, 255)
    return rounded.astype(np.uint8)


def enlarged(pixels: Pixels) -> float:
    """How much longer lengths are than in a 32×32 image: min(h, w) / 32, and at least 1."""
    return max(1.0, float(min(pixels.shape[1:3])) / 32)


def gray(images: Unit) -> Unit:
    """`[b, h, w, c]` → `[b, h, w, 1]`."""
    if images.shape[3] == 1:
        return images
    # Not `images @ GRAY`: the last bits of a matrix product depend on how many images there are.
    red, green, blue = (np.float32(part) * images[..., i] for i, part in enumerate(GRAY))
    mixed: Unit = (red + green + blue)[..., None]
    return mixed


def shifted(images: Unit, down: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Unit:
    """Move each image by whole pixels; what comes in repeats the edge.

    Args:
        images: `[b, h, w, c]`.
        down: pixels, `[b]`, or `[b, h, w]` for each pixel its own; above 0 the pixel takes the
            value of one further down.
        right: the same, to the right.
    """
    b, h, w, _ = images.shape
    down, right = (step.reshape(b, *(step.shape[1:] or (1, 1))) for step in (down, right))
    y = (np.arange(h)[:, None] + down).clip(0, h - 1)
    x = (np.arange(w) + right).clip(0, w - 1)
    moved: Unit = images[np.arange(b)[:, None, None], y, x]
    return moved


def sampled(images: Unit, y: Floats, x: Floats) -> Unit:
    """Read images between their pixels, linearly; beyond the edge they are mirrored.

    Args:
        images: `[b, h, w, c]`.
        y: rows, `[b, h', w']`.
        x: columns, `[b, h', w']`.

    Returns:
        `[b, h', w', c]`.
    """
    h, w = images.shape[1:3]
    above, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    fy, fx = (part[..., None].astype(np.float32) for part in (y - above, x - left))
    rows = [mirrored(above + step, h) for step in (0, 1)]
    columns = [mirrored(left + step, w) for step in (0, 1)]
    b = np.arange(len(images))[:, None, None]
    top = images[b, rows[0], columns[0]] * (1 - fx) + images[b, rows[0], columns[1]] * fx
    low = images[b, rows[1], columns[0]] * (1 - fx) + images[b, rows[1], columns[1]] * fx
    return (top * (1 - fy) + low * fy).astype(np.float32, copy=False)


def mirrored(places: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Places on a line of `n` pixels, mirrored about the first and the last one.

    Example:
        >>> mirrored(np.arange(-2, 6), 4).tolist()
        [2, 1, 0, 1, 2, 3, 2, 1]
    """
    if n == 1:
        return np.zeros_like(places)
    folded: npt.NDArray[np.int64] = n - 1 - abs(n - 1 - places % (2 * (n - 1)))
    return folded


def magnified(images: Unit, zoom: float) -> Unit:
    """Magnify images about their middle, linearly between the pixels; the size stays.

    Args:
        images: `[b, h, w, c]`.
        zoom: at least 1.
    """
    for axis in (1, 2):
        n = images.shape[axis]
        middle = (n - 1) / 2
        places = middle + (np.arange(n) - middle) / zoom
        left = np.floor(places).astype(np.int64)
        part = (places - left).astype(np.float32).reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        near, far = images.take(left, axis), images.take(np.minimum(left + 1, n - 1), axis)
        images = near + (far - near) * part
    return images
