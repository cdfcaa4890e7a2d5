"""What the corruptions of images are made of: reading between pixels, the disk of a lens."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mentee.data.corruptions.noise_blur import disk
from mentee.data.corruptions.pixels import magnified, sampled, shifted


def test_reading_between_pixels(rng):
    image = rng.uniform(size=(1, 4, 5, 2)).astype(np.float32)
    y, x = np.array([[[1.25, -0.5, 3.5]]]), np.array([[[2.5, 0.0, 4.0]]])
    found = sampled(image, y, x)[0, 0]
    a = image[0]
    first = 0.75 * (a[1, 2] + a[1, 3]) / 2 + 0.25 * (a[2, 2] + a[2, 3]) / 2
    np.testing.assert_allclose(found[0], first, rtol=1e-6)
    np.testing.assert_allclose(found[1], (a[1, 0] + a[0, 0]) / 2, rtol=1e-6)
    np.testing.assert_allclose(found[2], (a[3, 4] + a[2, 4]) / 2, rtol=1e-6)
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
