"""Contents that are corrupted when they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data.corruptions.draws import Draws
from mentee.data.counter_rng import Int64Array
from mentee.data.payload import Kind, Payload, Rows

Corruption = Callable[..., npt.NDArray[Any]]
"""Images: `(pixels [b, h, w, c], draws, severity)`; audio: `(wave, sample_rate, …)`."""

_AT_ONCE = 256


class CorruptedPayload:
    """Contents as a corruption leaves them.

    Args:
        contents: the clean ones.
        rows: `[n]` the rows of the source that belong to examples, rising.
        keys: `[n]` those examples' keys.
        name: of the corruption.
        function: what it does.
        severity: 1 to 5.
        seed: of its random numbers.
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
        self.kind: Kind = contents.kind
        self.channels: int = contents.channels
        self.sample_rate: int | None = contents.sample_rate
        self.contents = contents
        self.rows = rows
        self.keys = keys
        self.name = name
        self.function = function
        self.severity = severity
        self.seed = seed

    def ready(self, rows: Rows) -> bool:
        """As the clean ones."""
        return self.contents.ready(rows)

    def load(self, rows: Rows) -> bool:
        """Load the clean ones; each read corrupts them anew, and alike."""
        return self.contents.load(rows)

    def read(self, rows: Rows) -> npt.NDArray[Any] | Sequence[npt.NDArray[Any]]:
        """The corrupted contents of some rows, as the clean ones are given."""
        clean = self.contents.read(rows)
        keys = self.keys[np.searchsorted(self.rows, rows)]
        if isinstance(clean, np.ndarray):  # images of one size: many at a time
            some = range(0, len(rows), _AT_ONCE)
            parts = [self._images(clean[i : i + _AT_ONCE], keys[i : i + _AT_ONCE]) for i in some]
            return np.concatenate(parts) if parts else clean
        change = self._clip if self.kind == "audio" else self._image
        return [change(item, keys[i : i + 1]) for i, item in enumerate(clean)]

    def raw(self, row: int) -> bytes:
        """The clean bytes, and what is done to them."""
        said = repr((self.name, self.severity, self.seed)).encode()
        return self.contents.raw(row) + said

    def _images(self, pixels: npt.NDArray[Any], keys: Int64Array) -> npt.NDArray[Any]:
        return self.function(pixels, Draws(self.seed, keys, self.name), self.severity)

    def _image(self, pixels: Any, key: Int64Array) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self._images(pixels[None], key)[0]
        return found

    def _clip(self, wave: Any, key: Int64Array) -> npt.NDArray[Any]:
        draws = Draws(self.seed, key, self.name)
        return self.function(wave, self.sample_rate, draws, self.severity)
