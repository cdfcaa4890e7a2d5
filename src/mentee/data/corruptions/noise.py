"""Images with noise: of a sensor, of too few photons, of defective pixels."""

from __future__ import annotations

import numpy as np

from mentee.data.corruptions.draws import Draws, Floats
from mentee.data.corruptions.pixels import Pixels, from_unit, to_unit

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
    """Poisson numbers by the inverse of the distribution function, P(N ≤ k).

    Args:
        means: `[m]`, one for each value that `which` may have.
        which: the row of `means`, of any shape.
        uniform: of the same shape, in (0, 1).

    Returns:
        The least k with P(N ≤ k) ≥ uniform, of the same shape.
    """
    from scipy.special import pdtr

    top = int(means.max() + 10 * means.max() ** 0.5 + 10)
    # Row v holds v + P(N ≤ k): rising all along, so one search finds the k of every pixel.
    rising = np.arange(len(means))[:, None] + pdtr(np.arange(top), means[:, None])
    found = np.searchsorted(rising.reshape(-1), (which + uniform).reshape(-1)).reshape(which.shape)
    counts: Floats = (found - which.astype(np.int64) * top).astype(np.float64)
    return counts


def impulse_noise(pixels: Pixels, draws: Draws, severity: int) -> Pixels:
    """Set 1 to 7 % of the values to black or white, each as likely."""
    share = DEFECTIVE[severity - 1]
    uniform = draws.uniform(*pixels.shape[1:])
    found = np.where(uniform < share, np.uint8(0), pixels)
    noisy: Pixels = np.where(uniform < share / 2, np.uint8(255), found)
    return noisy
