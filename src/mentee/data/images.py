"""Images by row: in memory where they are small and of one size, else decoded in each read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data.image_files import SAMPLED, Decoding, Pixels, decode, find_decoding
from mentee.data.payload import MEMORY, Files, InMemory, ReadOptions, Rows
from mentee.data.unreadable import SKIP, find_unreadable, refuse_unreadable, without_pillow_warnings
from mentee.errors import DataError, suggest
from mentee.threads import map_in_threads

_LAYOUTS = {"nhw": (0, 1, 2), "nhwc": (0, 1, 2, 3), "nchw": (0, 2, 3, 1)}


def array_images(values: Any, ids: Sequence[str], options: ReadOptions) -> InMemory:
    """Images as one array: uint8 `[n, h, w]`, `[n, h, w, c]`, or `[n, c, h, w]` with its layout.

    Raises:
        DataError: the type, the shape or the layout is another one.
    """
    pixels = _to_channels(_to_nhwc(values, options), options.channels)
    if 0 in pixels.shape[1:]:
        raise DataError(f"the images of {options.name} have no pixels: shape {pixels.shape}")
    return InMemory("image", pixels, channels=int(pixels.shape[3]))


def _to_nhwc(values: Any, options: ReadOptions) -> Pixels:
    pixels = np.asarray(values)
    if pixels.dtype != np.uint8:
        raise DataError(
            f"the images of {options.name} are {pixels.dtype}; expected uint8 from 0 to 255 "
            "(numbers in [0, 1]: multiply by 255 and round)"
        )
    layout = options.extra.get("layout") or ("nhw" if pixels.ndim == 3 else "nhwc")
    if layout not in _LAYOUTS:
        raise DataError(f"layout {layout!r}: {suggest(layout, _LAYOUTS)}")
    if pixels.ndim == len(layout):
        pixels = pixels.transpose(_LAYOUTS[layout])
        pixels = pixels[..., None] if layout == "nhw" else pixels
        if pixels.shape[3] in (1, 3):
            return pixels
    raise DataError(
        f"the images of {options.name} have shape {np.shape(values)}, read as {layout!r}; expected "
        "[n, h, w] or [n, h, w, c] with 1 or 3 channels, or [n, c, h, w] together with layout "
        "'nchw'"
    )


def _to_channels(pixels: Pixels, channels: int | None) -> Pixels:
    if channels is None or pixels.shape[3] == channels:
        return np.ascontiguousarray(pixels)
    if channels == 3:
        return np.repeat(pixels, 3, axis=3)
    # ITU-R 601 luma in 16-bit fixed point, as Pillow computes it
    weights = np.array([19595, 38470, 7471])
    gray: Pixels = ((pixels @ weights + 0x8000) >> 16).astype(np.uint8)
    return gray[..., None]


class EncodedImages:
    """Images that are decoded once where they fit into `memory` bytes, else in each read.

    `changes` says by row, in words, what was changed in those decoded so far.

    Raises:
        DataError: none of a sample is an image.
    """

    kind = "image"
    sample_rate: int | None = None

    def __init__(
        self, files: Files, ids: Sequence[str], options: ReadOptions, memory: int = MEMORY
    ) -> None:
        self.files = files
        self.ids = ids
        with without_pillow_warnings():
            decoding = find_decoding(files, len(ids), options)
        self.decoding = decoding or Decoding(options.channels or 3)
        self.channels, self.bits = self.decoding.channels, self.decoding.bits
        self.changes: dict[int, tuple[str, ...]] = {}
        self._memory = memory
        self._fits = True
        self._array: Pixels | None = None
        self._decoded_rows: npt.NDArray[np.bool_] | None = None
        if decoding is None and options.unreadable != SKIP:
            first = np.arange(min(SAMPLED, len(ids)))
            refuse_unreadable(find_unreadable(self.read, first), ids, options.name)

    def ready(self, rows: Rows) -> bool:
        """True where the rows are in memory, or never will be."""
        return not self._fits or (
            self._decoded_rows is not None and bool(self._decoded_rows[rows].all())
        )

    def load(self, rows: Rows) -> bool:
        """Decode the rows that are not in memory yet; false where they do not fit it."""
        with without_pillow_warnings():
            return self._fits and self._load(rows)

    def _load(self, rows: Rows) -> bool:
        missing = rows if self._decoded_rows is None else rows[~self._decoded_rows[rows]]
        for row, pixels in zip(missing, self._decoded(missing), strict=True):
            if self._array is None or self._decoded_rows is None:
                if len(self.ids) * pixels.size > self._memory:
                    self._fits = False
                    return False
                self._array = np.empty((len(self.ids), *pixels.shape), np.uint8)
                self._decoded_rows = np.zeros(len(self.ids), np.bool_)
            if pixels.shape != self._array.shape[1:]:
                self._fits, self._array, self._decoded_rows = False, None, None
                return False
            self._array[row] = pixels
            self._decoded_rows[row] = True
        return True

    def read(self, rows: Rows) -> Pixels | list[Pixels]:
        """`[b, h, w, c]` from memory, or a list of newly decoded `[h, w, c]`."""
        if self._array is not None and self.ready(rows):
            return self._array[rows]
        return [self._decode(*item) for item in self._encoded(rows)]

    def raw(self, row: int) -> bytes:
        """The row's file."""
        return self.files.fetch(np.array([row]))[0]

    def _decode(self, data: bytes, row: int) -> Pixels:
        pixels, changes = decode(data, self.decoding, self.ids[row])
        if changes:
            self.changes[row] = changes
        return pixels

    def _encoded(self, rows: Rows) -> Iterator[tuple[bytes, int]]:
        for some in np.array_split(rows, max(1, -(-len(rows) // 256))):
            yield from zip(self.files.fetch(some), some.tolist(), strict=True)

    def _decoded(self, rows: Rows) -> Iterator[Pixels]:
        # Threads help from about 128 x 128 on (1.6 times with two); below, Python is the cost:
        # CIFAR's files decode at 8,600 a second in a plain loop and 4,200 with two threads.
        items = self._encoded(rows)
        for item in items:
            pixels = self._decode(*item)
            yield pixels
            if pixels.shape[0] * pixels.shape[1] >= 128 * 128:
                break
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            while some := list(islice(items, 256)):
                yield from map_in_threads(pool, lambda item: self._decode(*item), some)
