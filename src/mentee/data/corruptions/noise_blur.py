"""Images with noise and blurred images, and what all corruptions of images share."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mentee.data.corruptions.payload import Draws, Floats

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

    `down` and `right` are pixels, `[b]`, or `[b, h, w]` for each pixel its own; above 0 a pixel
    takes the value of one further down, or to the right.
    """
    b, h, w, _ = images.shape
    down, right = (step.reshape(b, *(step.shape[1:] or (1, 1))) for step in (down, right))
    y = (np.arange(h)[:, None] + down).clip(0, h - 1)
    x = (np.arange(w) + right).clip(0, w - 1)
    moved: Unit = images[np.arange(b)[:, None, None], y, x]
    return moved


def sampled(images: Unit, y: Floats, x: Floats) -> Unit:
    """Read images at rows and columns `[b, h', w']` between their pixels, linearly.

    Beyond the edge they are mirrored.
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


def mirrored(positions: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Places on a line of `n` pixels, mirrored about the first and the last one.

    Example:
        >>> mirrored(np.arange(-2, 6), 4).tolist()
        [2, 1, 0, 1, 2, 3, 2, 1]
    """
    if n == 1:
        return np.zeros_like(positions)
    folded: npt.NDArray[np.int64] = n - 1 - abs(n - 1 - positions % (2 * (n - 1)))
    return folded


def magnified(images: Unit, zoom: float) -> Unit:
    """Magnify images about their middle by `zoom` ≥ 1, linearly between pixels; the size stays."""
    for axis in (1, 2):
        n = images.shape[axis]
        middle = (n - 1) / 2
        positions = middle + (np.arange(n) - middle) / zoom
        left = np.floor(positions).astype(np.int64)
        part = (positions - left).astype(np.float32).reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        near, far = images.take(left, axis), images.take(np.minimum(left + 1, n - 1), axis)
        images = near + (far - near) * part
    return images


SIGMA = (0.04, 0.06, 0.08, 0.09, 0.10)
PHOTONS = (500, 250, 100, 75, 50)
DEFECTIVE = (0.01, 0.02, 0.03, 0.05, 0.07)


def gaussian_noise(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Add N(0, σ²) to every value, σ = 0.04 to 0.10 of full scale."""
    noise = draws.normal(*pixels.shape[1:]).astype(np.float32)
    return from_unit(to_unit(pixels) + np.float32(SIGMA[severity - 1]) * noise)


def shot_noise(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Count photons: Poisson(λ x) / λ, λ = 500 to 50 photons at full scale."""
    photons = PHOTONS[severity - 1]
    counts = _poisson(photons * np.arange(256) / 255, pixels, draws.uniform(*pixels.shape[1:]))
    return from_unit(counts / photons)


def _poisson(means: Floats, which: Pixels, uniform: Floats) -> Floats:
    """Poisson numbers: the least k with P(N ≤ k) ≥ `uniform`, of mean `means[which]`."""
    from scipy.special import pdtr

    top = int(means.max() + 10 * means.max() ** 0.5 + 10)
    # Row v holds v + P(N ≤ k): rising all along, so one search finds the k of every pixel.
    rising = np.arange(len(means))[:, None] + pdtr(np.arange(top), means[:, None])
    index = np.searchsorted(rising.reshape(-1), (which + uniform).reshape(-1)).reshape(which.shape)
    counts: Floats = (index - which.astype(np.int64) * top).astype(np.float64)
    return counts


def impulse_noise(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Set 1 to 7 % of the values to black or white, each as likely."""
    share = DEFECTIVE[severity - 1]
    uniform = draws.uniform(*pixels.shape[1:])
    noisy: Pixels = np.where(uniform < share, np.uint8(0), pixels)
    return np.where(uniform < share / 2, np.uint8(255), noisy)


DISK = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
"""Radius of the disk and σ of its soft edge, in pixels of a 32×32 image."""
GLASS = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))
"""σ of the blur in pixels, and how often pixels are shuffled."""
MOTION = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))
"""Radius and σ of the trail, in pixels. It ends before either radius in the third and the fourth,
which are the same, as in CIFAR-10-C."""
ZOOM = (1.05, 1.10, 1.15, 1.20, 1.25)
ZOOM_STEP = 0.01


def defocus_blur(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Spread each point over a disk with a soft edge, as a lens out of focus does."""
    from scipy.signal import fftconvolve

    radius, edge = (number * enlarged(pixels) for number in DISK[severity - 1])
    kernel = disk(radius, edge)[None, :, :, None]
    reach = kernel.shape[1] // 2
    sides = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    images = np.pad(to_unit(pixels).astype(np.float64), sides, mode="reflect")
    return from_unit(fftconvolve(images, kernel, mode="valid", axes=(1, 2)))


def disk(radius: float, edge: float) -> Unit:
    """A disk of that radius on the pixel grid, softened by a Gaussian of σ = `edge`; sums to 1."""
    from scipy.signal import convolve2d

    reach = math.floor(radius)
    line = np.arange(-reach, reach + 1)
    inside = (line[:, None] ** 2 + line**2 <= radius**2).astype(np.float32)
    bell = np.exp(-(np.arange(-1, 2) ** 2) / (2 * edge**2))
    if radius > 8:
        bell = np.exp(-(np.arange(-2, 3) ** 2) / (2 * edge**2))
    soft = convolve2d(inside, np.outer(bell, bell))
    kernel: Unit = (soft / soft.sum()).astype(np.float32)
    return kernel


def glass_blur(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Let each pixel take the value of a neighbor, between two small Gaussian blurs.

    The neighbor is up to a pixel further up and to the left, as in the published images, where
    nothing is swapped in effect.
    """
    from scipy.ndimage import gaussian_filter

    sigma, times = GLASS[severity - 1]
    scale = enlarged(pixels)
    reach = float(round(scale))
    size = pixels.shape[1:3]
    spread = (0.0, sigma * scale, sigma * scale, 0.0)
    images = gaussian_filter(to_unit(pixels), spread, mode="nearest")
    for _ in range(times):
        steps = np.floor(draws.uniform(2, *size, low=-reach, high=reach)).astype(np.int64)
        images = shifted(images, steps[:, 0], steps[:, 1])
    return from_unit(gaussian_filter(images, spread, mode="nearest"))


def motion_blur(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Draw a trail behind each point, within 45° of the horizontal."""
    radius, sigma = (number * enlarged(pixels) for number in MOTION[severity - 1])
    angle = draws.uniform(low=-math.pi / 4, high=math.pi / 4)
    return from_unit(trailed(to_unit(pixels), radius, sigma, angle))


def trailed(images: Unit, radius: float, sigma: float, angle: Floats) -> Unit:
    """The mean of an image moved by 0, 1, ..., 2 · radius pixels, weighted by a half bell.

    The weight of i pixels is exp(−i² / 2 σ²); those below 1/1000 are left out. The angle, `[b]`, is
    from the horizontal, in radians.
    """
    steps = np.arange(min(2 * radius, sigma * math.sqrt(2 * math.log(1000))) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    blurred = np.zeros_like(images)
    for step, weight in zip(steps, weights, strict=True):
        down = np.rint(step * np.sin(angle)).astype(np.int64)
        right = np.rint(step * np.cos(angle)).astype(np.int64)
        blurred += np.float32(weight) * shifted(images, down, right)
    return blurred


def zoom_blur(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """The mean of the image and of itself magnified by 1, 1.01, ... up to 1.05 to 1.25."""
    images = to_unit(pixels)
    zooms = np.arange(1, ZOOM[severity - 1] + ZOOM_STEP / 2, ZOOM_STEP)
    total = images + sum(magnified(images, float(zoom)) for zoom in zooms)
    return from_unit(total / (len(zooms) + 1))
