"""Contents that are corrupted when they are read, and their counted random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data.counter_rng import Int64Array, mix
from mentee.data.payload import ChangedPayload, Payload, Rows

Floats = npt.NDArray[np.floating[Any]]

Corruption = Callable[..., npt.NDArray[Any]]
"""Images: `(pixels [b, h, w, c], draws, severity)`; audio: `(wave, sample_rate, …)`."""

_AT_ONCE = 256


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


class CorruptedPayload(ChangedPayload):
    """Contents as a corruption leaves them.

    `keys` are those of the examples in the source's `rows`, which rise.
    """

    def __init__(
        self,
        contents: Payload,
        rows: Rows,
        keys: Int64Array,
        *,
        name: str,
        function: Corruption,
        severity: int,
        seed: int,
    ) -> None:
        super().__init__(contents)
        self.rows, self.keys = rows, keys
        self.name, self.function, self.severity, self.seed = name, function, severity, seed

    def read(self, rows: Rows) -> npt.NDArray[Any] | Sequence[npt.NDArray[Any]]:
        """The corrupted contents of some rows, the same in each read."""
        clean = self.contents.read(rows)
        keys = self.keys[np.searchsorted(self.rows, rows)]
        if isinstance(clean, np.ndarray):  # images of one size: many at a time
            some = range(0, len(rows), _AT_ONCE)
            parts = [self._images(clean[i : i + _AT_ONCE], keys[i : i + _AT_ONCE]) for i in some]
            return np.concatenate(parts) if parts else clean
        change = self._image if self.sample_rate is None else self._clip
        return [change(item, keys[i : i + 1]) for i, item in enumerate(clean)]

    def raw(self, row: int) -> bytes:
        """The clean bytes, and what is done to them."""
        return self.contents.raw(row) + repr((self.name, self.severity, self.seed)).encode()

    def _images(self, pixels: npt.NDArray[Any], keys: Int64Array) -> npt.NDArray[Any]:
        return self.function(pixels, Draws(self.seed, keys, self.name), self.severity)

    def _image(self, pixels: Any, key: Int64Array) -> Any:
        return self._images(pixels[None], key)[0]

    def _clip(self, wave: Any, key: Int64Array) -> npt.NDArray[Any]:
        draws = Draws(self.seed, key, self.name)
        return self.function(wave, self.sample_rate, draws, self.severity)
