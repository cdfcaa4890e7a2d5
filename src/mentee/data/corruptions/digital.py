"""Images as processing leaves them: flat, warped, coarse, compressed."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from mentee.data.corruptions.draws import Draws, Floats
from mentee.data.corruptions.pixels import Pixels, from_unit, sampled, to_unit

CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
ELASTIC = (
    (0.0, 0.0, 0.08),
    (0.05, 0.2, 0.07),
    (0.08, 0.06, 0.06),
    (0.1, 0.04, 0.05),
    (0.1, 0.03, 0.03),
)
"""Strength and σ of the local warp, reach of the corners' moves, all in parts of the size."""
COARSE = (0.95, 0.9, 0.85, 0.75, 0.65)
QUALITY = (80, 65, 58, 50, 40)


def contrast(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Bring every value nearer to its channel's mean: m + (x − m) · 0.75 down to 0.15."""
    images = to_unit(pixels)
    mean = images.mean((1, 2), np.float64, keepdims=True)
    return from_unit(mean + (images - mean) * CONTRAST[severity - 1])


def elastic_transform(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Shear and stretch the image, then warp it locally, as if it were printed on rubber.

    Three points move by up to 8 to 3 % of the size, which gives an affine map; each pixel moves on
    by a smooth random field. Both are done at once, so the image is sampled only once.
    """
    from scipy.ndimage import gaussian_filter

    strength, sigma, reach = (part * min(pixels.shape[1:3]) for part in ELASTIC[severity - 1])
    h, w = pixels.shape[1:3]
    field = draws.uniform(2, h, w, low=-1.0, high=1.0)
    smooth = strength * gaussian_filter(field, (0, 0, sigma, sigma), mode="reflect", truncate=3)
    y = np.arange(h)[:, None] + smooth[:, 0]
    x = np.arange(w) + smooth[:, 1]
    inverse = _affine(draws, h, w, reach)
    places = np.einsum("bij,bjyx->biyx", inverse, np.stack([y, x, np.ones_like(y)], 1))
    return from_unit(sampled(to_unit(pixels), places[:, 0], places[:, 1]))


def _affine(draws: Draws, h: int, w: int, reach: float) -> Floats:
    """`[b, 2, 3]`: from where in the image (y, x, 1) is read, after three points were moved."""
    side = min(h, w) // 3
    points = np.array([h // 2, w // 2]) + side * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + draws.uniform(3, 2, low=-reach, high=reach)
    ones = np.ones((len(draws), 3, 1))
    # A (y', x', 1)ᵀ = (y, x)ᵀ for the three points; where they fell on one line there is no such A
    solved = np.linalg.pinv(np.concatenate([moved, ones], 2)) @ points
    inverse: Floats = solved.swapaxes(1, 2)
    return inverse


def pixelate(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Shrink to 95 to 65 % by the mean over boxes, then enlarge by repeating pixels."""
    part = COARSE[severity - 1]
    h, w = pixels.shape[1:3]
    size = max(1, int(w * part)), max(1, int(h * part))

    def coarse(image: Image.Image) -> Image.Image:
        box = Image.Resampling.BOX
        return image.resize(size, box).resize((w, h), box)

    return _each(pixels, coarse)


def jpeg_compression(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Write and read a JPEG file of quality 80 to 40."""

    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY[severity - 1])
        return Image.open(file)

    return _each(pixels, compressed)


def _each(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Change image by image with Pillow."""
    changed = np.empty_like(pixels)
    for row, image in enumerate(pixels):
        gray = image.shape[2] == 1
        found = change(Image.fromarray(image[..., 0] if gray else image))
        changed[row] = np.asarray(found).reshape(image.shape)
    return changed
