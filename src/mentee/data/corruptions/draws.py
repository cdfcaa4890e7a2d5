"""Random numbers that depend on (seed, key, name) alone: counted, not drawn from a state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data.counter_rng import Int64Array, mix

Floats = npt.NDArray[np.floating[Any]]


class Draws:
    """Random numbers for several examples at once.

    The i-th number of the k-th call is a hash of (seed, key, name, k, i): it does not matter which
    other examples are asked for at the same time, or in which order.

    Args:
        seed: another seed, other numbers.
        keys: `[b]` keys of the examples.
        name: what the numbers are for.

    Example:
        >>> both = Draws(0, np.array([3, 4]), "noise").uniform(2)
        >>> bool((Draws(0, np.array([4]), "noise").uniform(2) == both[1]).all())
        True
    """

    def __init__(self, seed: int, keys: Int64Array, name: str) -> None:
        self._bits = mix(seed, keys, "corruption", name)
        self._calls = 0

    def __len__(self) -> int:
        return len(self._bits)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """`[b, *shape]` numbers, all equally likely in (low, high)."""
        call = mix(self._calls, self._bits.view(np.int64))
        self._calls += 1
        counted = call[:, None] + np.arange(math.prod(shape), dtype=np.uint64)
        bits = mix(0, counted.view(np.int64)) >> np.uint64(12)
        # 52 bits and a half: never exactly 0 or 1
        unit = (bits.astype(np.float64) + 0.5) * 2.0**-52
        spread: Floats = low + (high - low) * unit
        return spread.reshape(len(self), *shape)

    def normal(self, *shape: int) -> Floats:
        """`[b, *shape]` numbers with mean 0 and standard deviation 1, by the inverse of Φ."""
        from scipy.special import ndtri

        numbers: Floats = ndtri(self.uniform(*shape))
        return numbers
