"""Images of bad weather (snow, frost, fog, glare), and as processing leaves them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from mentee.data.corruptions.noise_blur import (
    Pixels,
    enlarged,
    from_unit,
    gray,
    magnified,
    sampled,
    to_unit,
    trailed,
)
from mentee.data.corruptions.payload import Draws, Floats

SNOW = (
    (0.10, 0.2, 1.00, 0.60, 8, 3, 0.95),
    (0.10, 0.2, 1.00, 0.50, 10, 4, 0.90),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.90),
    (0.25, 0.3, 2.25, 0.60, 12, 6, 0.85),
    (0.30, 0.3, 1.25, 0.65, 14, 12, 0.80),
)
"""Mean and deviation of the flakes' noise, its magnification, the least value that is a flake,
radius and σ of their trails in pixels, and what is left of the image's own colors."""
FROST = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
"""What image and frost count for."""
FOG = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))
"""Thickness of the fog, and how fast its detail fades with size."""
BRIGHTER = (0.05, 0.1, 0.15, 0.2, 0.3)


def snow(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Whiten the image and let flakes fall across it, in two opposite directions."""
    mean, deviation, zoom, least, radius, sigma, share = SNOW[severity - 1]
    images, scale = to_unit(pixels), enlarged(pixels)
    noise = (mean + deviation * draws.normal(*pixels.shape[1:3], 1)).astype(np.float32)
    flakes = magnified(noise, zoom * scale)
    flakes = np.where(flakes < least, np.float32(0), flakes).clip(0, 1)
    angle = draws.uniform(low=-3 * math.pi / 4, high=-math.pi / 4)
    flakes = trailed(flakes, radius * scale, sigma * scale, angle)
    whiter = np.maximum(images, 1.5 * gray(images) + 0.5)
    return from_unit(share * images + (1 - share) * whiter + flakes + flakes[:, ::-1, ::-1])


def frost(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Mix the image with frost: a · image + b · frost.

    The published images have pieces of six photographs; here the frost is generated with their
    statistics, see `crystals`.
    """
    image, ice = FROST[severity - 1]
    h, w, channels = pixels.shape[1:]
    texture = crystals(draws, h, w).astype(np.float32)
    if channels == 1:
        texture = gray(texture)
    return from_unit(image * to_unit(pixels) + ice * texture)


def crystals(draws: Draws, h: int, w: int) -> Floats:
    """Frost: ridges of noise whose power falls with frequency as f^−2.2, bluish.

    The mean gray is 0.35 to 0.8, its deviation within the image 0.04 to 0.11, red is up to 0.2
    below blue: the range of the photographs used for CIFAR-10-C.

    Returns:
        `[b, h, w, 3]`, values in [0, 1].
    """
    height, width = (2 * size for size in (h, w))  # the noise is periodic: use a quarter of it
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = math.inf
    noise = np.fft.rfft2(draws.normal(height, width)) * frequency**-1.1
    field = np.fft.irfft2(noise, s=(height, width))[:, :h, :w]
    ridges = -abs(field - field.mean((1, 2), keepdims=True))
    ridges -= ridges.mean((1, 2), keepdims=True)
    ridges /= ridges.std((1, 2), keepdims=True) + 1e-12
    mean = draws.uniform(1, 1, low=0.35, high=0.8)
    deviation = draws.uniform(1, 1, low=0.04, high=0.11)
    blue = draws.uniform(1, 1, low=0.0, high=0.2)
    level = mean + deviation * ridges
    return np.stack([level - 0.75 * blue, level, level + 0.25 * blue], axis=3).clip(0, 1)


def fog(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Add clouds and darken the sum to the image's range: (x + t · clouds) · m / (m + t).

    t is the fog's thickness, 0.2 to 1.5; m the image's greatest value.
    """
    thickness, fading = FOG[severity - 1]
    images = to_unit(pixels)
    h, w = pixels.shape[1:3]
    clouds = plasma(draws, max(h, w), fading)[:, :h, :w, None]
    most = images.max((1, 2, 3), keepdims=True)
    return from_unit((images + thickness * clouds) * most / (most + thickness))


def plasma(draws: Draws, size: int, fading: float) -> Floats:
    """Clouds in [0, 1], `[b, n, n]`, by midpoint displacement (diamond and square) on a torus.

    The middle of each square is the mean of its corners plus a random number, then the middle of
    each edge is the mean of its four neighbors plus another; with each halving of the squares the
    random numbers are smaller by `fading`². n is `size` rounded up to a power of two.
    """
    n = 1 << max(1, math.ceil(math.log2(max(size, 2))))
    clouds = np.zeros((len(draws), n, n))
    step, strength = n, 1.0
    while step >= 2:
        half, squares = step // 2, n // step

        def random(squares: int = squares, strength: float = strength) -> Floats:
            return strength * draws.uniform(squares, squares, low=-1.0, high=1.0)

        corners = clouds[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, 1)
        middle = (pairs + np.roll(pairs, -1, 2)) / 4 + random()
        clouds[:, half::step, half::step] = middle
        edges = corners + np.roll(corners, -1, 2) + middle + np.roll(middle, 1, 1)
        clouds[:, ::step, half::step] = edges / 4 + random()
        below = corners + np.roll(corners, -1, 1) + middle + np.roll(middle, 1, 2)
        clouds[:, half::step, ::step] = below / 4 + random()
        step, strength = half, strength / fading**2
    clouds -= clouds.min((1, 2), keepdims=True)
    scaled: Floats = clouds / clouds.max((1, 2), keepdims=True)
    return scaled


def brightness(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Raise the value v = max(r, g, b) by 0.05 to 0.3; hue and saturation stay.

    A color becomes itself times min(v + d, 1) / v, black the gray d.
    """
    images = to_unit(pixels)
    value = images.max(3, keepdims=True)
    brighter = (value + np.float32(BRIGHTER[severity - 1])).clip(max=1)
    return from_unit(np.where(value > 0, images * brighter / np.maximum(value, 1e-6), brighter))


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
    positions = np.einsum("bij,bjyx->biyx", inverse, np.stack([y, x, np.ones_like(y)], 1))
    return from_unit(sampled(to_unit(pixels), positions[:, 0], positions[:, 1]))


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
        result = change(Image.fromarray(image[..., 0] if gray else image))
        changed[row] = np.asarray(result).reshape(image.shape)
    return changed
