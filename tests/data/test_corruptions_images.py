"""The corruptions of images against their formulas, written as loops in float64."""

from __future__ import annotations

import colorsys
import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from mentee.data.corruptions import CORRUPTIONS, SEVERITIES
from mentee.data.corruptions.noise_blur import (
    _poisson,
    disk,
    magnified,
    sampled,
    shifted,
    trailed,
)
from mentee.data.corruptions.payload import Draws
from mentee.data.corruptions.weather_digital import crystals, plasma
from mentee.data.counter_rng import hash_ids


def draws(n=4, name="x"):
    return Draws(0, hash_ids([f"i/{row}" for row in range(n)]), name)


def done(name, pixels, severity):
    return CORRUPTIONS["image"][name](pixels, draws(len(pixels), name), severity)


def flat(value, n=4, size=32):
    return np.full((n, size, size, 3), value, np.uint8)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.04), (5, 0.10)])
def test_gaussian_noise(severity, sigma):
    noise = done("gaussian_noise", flat(128, 20), severity).astype(float) - 128
    assert noise.std() == pytest.approx(255 * sigma, rel=0.02)
    assert abs(noise.mean()) < 0.3
    assert stats.kurtosis(noise.ravel()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("severity", "photons"), [(1, 500), (5, 50)])
def test_shot_noise_has_the_variance_of_counting(severity, photons):
    for value in (40, 120):
        result = done("shot_noise", flat(value, 20), severity) / 255
        assert result.mean() == pytest.approx(value / 255, rel=0.01)
        assert result.var() == pytest.approx(value / 255 / photons, rel=0.04)
    assert (done("shot_noise", flat(0), severity) == 0).all()


def test_poisson_numbers_are_scipys(rng):
    means = np.array([0.0, 0.3, 7.0, 90.0])
    which = rng.integers(0, 4, (5, 200)).astype(np.uint8)
    uniform = rng.uniform(size=(5, 200))
    assert (_poisson(means, which, uniform) == stats.poisson.ppf(uniform, means[which])).all()


@pytest.mark.parametrize(("severity", "share"), [(1, 0.01), (5, 0.07)])
def test_impulse_noise(severity, share):
    result = done("impulse_noise", flat(100, 40), severity)
    assert (result == 0).mean() == pytest.approx(share / 2, rel=0.15)
    assert (result == 255).mean() == pytest.approx(share / 2, rel=0.15)
    assert set(np.unique(result)) == {0, 100, 255}


def test_defocus_blur_spreads_a_point_over_the_disk():
    point = flat(0, 1)
    point[0, 16, 16] = 255
    for severity, (radius, edge) in ((3, (0.5, 0.6)), (5, (1.5, 0.1))):
        kernel = disk(radius, edge)
        half = len(kernel) // 2
        around = slice(16 - half, 17 + half)
        result = done("defocus_blur", point, severity)[0, around, around, 1]
        np.testing.assert_allclose(result, 255 * kernel, atol=0.51)


def test_defocus_blur_mirrors_the_edge(pixels):
    kernel = disk(1.5, 0.1)
    half = len(kernel) // 2
    result = done("defocus_blur", pixels, 5)
    for y, x in ((0, 0), (3, 31), (31, 16), (15, 7)):
        wanted = np.zeros(3)
        for dy in range(-half, half + 1):
            for dx in range(-half, half + 1):
                there = abs(y + dy), abs(x + dx)  # −1 → 1
                there = tuple(
                    62 - position if position > 31 else position for position in there
                )  # 32 → 30
                wanted += kernel[half + dy, half + dx] * pixels[2][there].astype(float)
        np.testing.assert_allclose(result[2, y, x], wanted, atol=0.51)


def test_glass_blur_takes_neighbors(pixels):
    """The Gaussian of severity 1 is narrower than a pixel: what is left is the shuffle."""
    result = done("glass_blur", pixels, 1)
    fair = np.zeros(2)
    for y in range(1, 32):
        for x in range(1, 32):
            near = pixels[0, y - 1 : y + 1, x - 1 : x + 1].reshape(4, 3)
            assert (near == result[0, y, x]).all(1).any()
            fair += (result[0, y, x] == pixels[0, y, x]).all(), 1
    assert fair[0] / fair[1] == pytest.approx(1 / 4, abs=0.06)


def test_the_trail_is_a_half_bell(rng):
    image = rng.uniform(size=(1, 5, 40, 1)).astype(np.float32)
    sigma, radius = 1.5, 6.0
    for angle, (down, right) in ((0.0, (0, 1)), (math.pi / 2, (1, 0)), (-math.pi / 2, (-1, 0))):
        result = trailed(image, radius, sigma, np.array([angle]))
        total, wanted = 0.0, np.zeros((5, 40))
        for step in range(13):
            weight = math.exp(-step * step / (2 * sigma * sigma))
            total += weight
            for y in range(5):
                for x in range(40):
                    there = min(max(y + step * down, 0), 4), min(x + step * right, 39)
                    wanted[y, x] += weight * image[0, there[0], there[1], 0]
        np.testing.assert_allclose(result[0, :, :, 0], wanted / total, atol=2e-3)


def test_motion_blur_blurs_along_its_way_only(rng):
    rows = np.repeat(rng.integers(0, 256, (1, 32, 1, 1), dtype=np.uint8), 32, 2)
    columns = rows.swapaxes(1, 2)
    across, along = (
        abs(np.diff(x.astype(float), axis=a)).mean()
        for x, a in (
            (CORRUPTIONS["image"]["motion_blur"](rows, draws(1), 5), 1),
            (CORRUPTIONS["image"]["motion_blur"](columns, draws(1), 5), 2),
        )
    )
    assert along < across  # the way is within 45 degrees of the horizontal


def test_zoom_blur_of_a_ramp(rng):
    """A ramp about the middle, magnified by z, is the ramp divided by z."""
    ramp = (np.arange(31) - 15) * 6
    image = np.repeat((128 + ramp)[None, None, :, None], 31, 1).astype(np.uint8)
    for severity, last in ((1, 1.05), (5, 1.25)):
        zooms = np.arange(100, round(100 * last) + 1) / 100
        wanted = 128 + (ramp + sum(ramp / zoom for zoom in zooms)) / (len(zooms) + 1)
        result = done("zoom_blur", image, severity)[0, 7, :, 0]
        np.testing.assert_allclose(result, wanted, atol=0.51)


def test_snow_whitens(pixels):
    """Nothing gets darker; without flakes, a color x becomes k x + (1 − k) max(x, 1.5 g + 0.5)."""
    dark, means = pixels // 4, []
    for severity, kept in zip(SEVERITIES, (0.95, 0.9, 0.9, 0.85, 0.8), strict=True):
        result = done("snow", dark, severity).astype(float)
        gray = (dark / 255 * [0.299, 0.587, 0.114]).sum(3, keepdims=True)
        whiter = kept * dark / 255 + (1 - kept) * np.maximum(dark / 255, 1.5 * gray + 0.5)
        assert (result >= 255 * whiter - 0.51).all()
        flakes = result - 255 * whiter
        means.append(flakes.mean())
        turned = flakes[:, ::-1, ::-1]
        assert abs(flakes - turned)[(result < 255) & (result[:, ::-1, ::-1] < 255)].max() < 1.01
    assert means[0] < means[1] < means[2] < means[4]


@pytest.mark.parametrize(("severity", "image", "ice"), [(1, 1.0, 0.2), (5, 0.75, 0.45)])
def test_frost_is_a_mixture(severity, image, ice):
    dark, light = (done("frost", flat(value), severity).astype(float) for value in (0, 80))
    np.testing.assert_allclose(light - dark, image * 80, atol=1)
    texture = crystals(draws(4, "frost"), 32, 32)
    np.testing.assert_allclose(dark, 255 * ice * texture, atol=0.51)


def test_the_frost_is_like_photographs_of_it():
    texture = crystals(draws(200), 32, 32)
    level = texture[..., 1]
    assert 0.35 < level.mean((1, 2)).min() < 0.4
    assert 0.75 < level.mean((1, 2)).max() < 0.8
    assert 0.04 < level.std((1, 2)).min() < level.std((1, 2)).max() < 0.11
    assert (texture[..., 0] <= texture[..., 2]).all()
    window = np.hanning(32)
    bare = level - level.mean((1, 2), keepdims=True)
    power = (abs(np.fft.fft2(bare * window[:, None] * window)) ** 2).mean(0)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(32, 1 / 32)] * 2))
    octaves = [power[(frequency >= k) & (frequency < 2 * k)].mean() for k in (2, 4, 8)]
    slope = np.diff(np.log2(octaves)).mean()
    assert -3.3 < slope < -1.2  # the photographs: -3.1 to -1.9


def test_fog_of_a_flat_image():
    """(x + t · clouds) · x / (x + t), clouds from 0 to 1: at most x, at least x² / (x + t)."""
    for severity, thickness in ((1, 0.2), (5, 1.5)):
        result = done("fog", flat(150), severity)
        value = 150 / 255
        assert (result.max((1, 2, 3)) == 150).all()
        least = 255 * value**2 / (value + thickness)
        np.testing.assert_allclose(result.min((1, 2, 3)), least, atol=0.51)


def test_clouds_by_midpoint_displacement():
    n, fading = 8, 2.0
    random, strength, step = draws(1), 1.0, 8
    wanted = np.zeros((n, n))
    while step > 1:
        half = step // 2
        count = n // step
        noise = [strength * random.uniform(count, count, low=-1.0, high=1.0)[0] for _ in range(3)]
        for i in range(count):
            for j in range(count):
                y, x = i * step, j * step
                down, right = (y + step) % n, (x + step) % n
                corners = wanted[y, x] + wanted[down, x] + wanted[y, right] + wanted[down, right]
                wanted[y + half, x + half] = corners / 4 + noise[0][i, j]
        for i in range(count):
            for j in range(count):
                y, x = i * step, j * step
                down, right = (y + step) % n, (x + step) % n
                middle, above = wanted[y + half, x + half], wanted[y - half, x + half]
                before = wanted[y + half, x - half]
                wanted[y, x + half] = (
                    wanted[y, x] + wanted[y, right] + middle + above
                ) / 4 + noise[1][i, j]
                wanted[y + half, x] = (
                    wanted[y, x] + wanted[down, x] + middle + before
                ) / 4 + noise[2][i, j]
        step, strength = half, strength / fading**2
    wanted -= wanted.min()
    np.testing.assert_allclose(plasma(draws(1), n, fading)[0], wanted / wanted.max(), atol=1e-12)


def test_brightness_raises_the_value_of_hsv(pixels):
    pixels[0, 0, 0] = 0
    for severity, more in ((1, 0.05), (5, 0.3)):
        result = done("brightness", pixels, severity)
        for x in range(32):
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[0, 0, x] / 255).tolist())
            wanted = colorsys.hsv_to_rgb(hue, saturation, min(value + more, 1))
            np.testing.assert_allclose(result[0, 0, x], 255 * np.array(wanted), atol=0.51)


def test_contrast(pixels):
    for severity, kept in ((1, 0.75), (5, 0.15)):
        result = done("contrast", pixels, severity)
        for channel in range(3):
            mean = float(np.mean(pixels[2, :, :, channel].astype(float)))
            wanted = mean + kept * (pixels[2, :, :, channel] - mean)
            np.testing.assert_allclose(result[2, :, :, channel], wanted, atol=0.51)


def test_the_warp_grows_more_local():
    """Two ramps show where each pixel came from; an affine map leaves them planes."""
    y, x = np.mgrid[0:32, 0:32]
    ramps = np.repeat(np.stack([y, x, x], 2)[None] * 7, 16, 0).astype(np.uint8)
    plane = np.stack([y[8:24, 8:24].ravel(), x[8:24, 8:24].ravel(), np.ones(256)], 1)
    local, moved = [], []
    for severity in SEVERITIES:
        result = done("elastic_transform", ramps, severity)[:, 8:24, 8:24, :2] / 7
        rest = [
            np.linalg.lstsq(plane, each.reshape(256, 2), rcond=None)[1].sum() / 512
            for each in result
        ]
        local.append(math.sqrt(np.mean(rest)))
        moved.append(abs(result - ramps[:, 8:24, 8:24, :2] / 7).mean())
    assert local[0] < 0.06  # rounding alone: 1 / 7 / √12 = 0.04
    assert local[1] < local[2] < local[3] < local[4]
    assert 0.4 < local[4] < 0.7  # 3.2 · √(1/3) / (2 √π · 0.96) = 0.54
    assert moved[0] > 0.5


def test_pixelate_takes_means_over_boxes():
    """65 % of 20 pixels are 13; at a size of 20 · 0.65, each of them is the mean of 20/13."""
    line = np.arange(20, dtype=float) ** 2 * 0.6
    image = np.repeat(line.astype(np.uint8)[None, None, :, None], 20, 1)
    result = done("pixelate", image, 5)[0, 3, :, 0].astype(float)
    assert len(np.unique(result)) == 13
    for position, value in enumerate(result):
        box = math.floor((position + 0.5) * 13 / 20)
        low, high = box * 20 / 13, (box + 1) * 20 / 13
        whole = range(math.floor(low), math.ceil(high))
        parts = [k for k in whole if low <= k + 0.5 <= high]  # Pillow counts a pixel by its middle
        wanted = np.mean([image[0, 0, k, 0] for k in parts])
        assert value == pytest.approx(wanted, abs=1.01)


def test_jpeg_compression_is_pillows(pixels):
    for severity, quality in ((1, 80), (5, 40)):
        file = io.BytesIO()
        Image.fromarray(pixels[1]).save(file, "JPEG", quality=quality)
        wanted = np.asarray(Image.open(file))
        assert (done("jpeg_compression", pixels, severity)[1] == wanted).all()


def test_reading_between_pixels(rng):
    image = rng.uniform(size=(1, 4, 5, 2)).astype(np.float32)
    y, x = np.array([[[1.25, -0.5, 3.5]]]), np.array([[[2.5, 0.0, 4.0]]])
    result = sampled(image, y, x)[0, 0]
    a = image[0]
    first = 0.75 * (a[1, 2] + a[1, 3]) / 2 + 0.25 * (a[2, 2] + a[2, 3]) / 2
    np.testing.assert_allclose(result[0], first, rtol=1e-6)
    np.testing.assert_allclose(result[1], (a[1, 0] + a[0, 0]) / 2, rtol=1e-6)
    np.testing.assert_allclose(result[2], (a[3, 4] + a[2, 4]) / 2, rtol=1e-6)
    assert (shifted(image, np.array([1]), np.array([-2]))[0, 3, 4] == a[3, 2]).all()
    np.testing.assert_allclose(magnified(image, 1.0), image)


@pytest.mark.parametrize(("radius", "edge"), [(0.3, 0.4), (1.0, 0.2), (1.5, 0.1), (9.0, 0.5)])
def test_the_disk(radius, edge):
    reach, soft = math.floor(radius), 2 if radius > 8 else 1
    size = reach + soft
    wanted = np.zeros((2 * size + 1, 2 * size + 1))
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            if y * y + x * x <= radius * radius:
                for dy in range(-soft, soft + 1):
                    for dx in range(-soft, soft + 1):
                        weight = math.exp(-(dy * dy + dx * dx) / (2 * edge * edge))
                        wanted[size + y + dy, size + x + dx] += weight
    np.testing.assert_allclose(disk(radius, edge), wanted / wanted.sum(), atol=1e-6)
