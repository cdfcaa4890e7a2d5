"""Images by row: in memory where they are small and of one size, else decoded in each read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from mentee.data.payload import MEMORY, Files, InMemory, ReadOptions, Rows
from mentee.errors import DataError, suggest

Pixels = npt.NDArray[np.uint8]


_LAYOUTS = {"nhw": (0, 1, 2), "nhwc": (0, 1, 2, 3), "nchw": (0, 2, 3, 1)}


def array_images(values: Any, ids: Sequence[str], options: ReadOptions) -> InMemory:
    """Images as one array: uint8 `[n, h, w]`, `[n, h, w, c]`, or `[n, c, h, w]` with its layout.

    Raises:
        DataError: the type, the shape or the layout is another one.
    """
    pixels = _to_channels(_to_nhwc(values, options), options.channels)
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
    """Images that are decoded once where they fit into memory, else each time they are read.

    Args:
        files: the encoded files.
        ids: the rows' ids, for messages.
        options: the channels; None: as the first image has them.
        memory: bytes that all decoded images may take.

    Raises:
        DataError: the first image cannot be decoded.
    """

    kind = "image"
    sample_rate: int | None = None

    def __init__(
        self, files: Files, ids: Sequence[str], options: ReadOptions, memory: int = MEMORY
    ) -> None:
        self.files = files
        self.ids = ids
        first = decode(self.raw(0), options.channels, ids[0])
        self.channels = int(first.shape[2])
        self._array: Pixels | None = None
        self._decoded_rows: npt.NDArray[np.bool_] | None = None
        self._fits = len(ids) * first.size <= memory
        self._shape = first.shape

    def ready(self, rows: Rows) -> bool:
        """True where the rows are in memory, or never will be."""
        return not self._fits or (
            self._decoded_rows is not None and bool(self._decoded_rows[rows].all())
        )

    def load(self, rows: Rows) -> bool:
        """Decode the rows that are not in memory yet; false where they do not fit it."""
        if not self._fits:
            return False
        if self._array is None or self._decoded_rows is None:
            self._array = np.empty((len(self.ids), *self._shape), np.uint8)
            self._decoded_rows = np.zeros(len(self.ids), np.bool_)
        missing = rows[~self._decoded_rows[rows]]
        for row, pixels in zip(missing, self._decoded(missing), strict=True):
            if pixels.shape != self._shape:
                self._fits, self._array, self._decoded_rows = False, None, None
                return False
            self._array[row] = pixels
            self._decoded_rows[row] = True
        return True

    def read(self, rows: Rows) -> Pixels | list[Pixels]:
        """`[b, h, w, c]` from memory, or a list of newly decoded `[h, w, c]`."""
        if self._array is not None and self.ready(rows):
            return self._array[rows]
        return [decode(*item) for item in self._encoded(rows)]

    def raw(self, row: int) -> bytes:
        """The row's file."""
        return self.files.fetch(np.array([row]))[0]

    def _encoded(self, rows: Rows) -> Iterator[tuple[bytes, int, str]]:
        for some in np.array_split(rows, max(1, -(-len(rows) // 256))):
            for row, data in zip(some.tolist(), self.files.fetch(some), strict=True):
                yield data, self.channels, self.ids[row]

    def _decoded(self, rows: Rows) -> Iterator[Pixels]:
        # Threads help from about 128 x 128 on (1.6 times with two); below, Python is the cost:
        # CIFAR's files decode at 8,600 a second in a plain loop and 4,200 with two threads.
        if self._shape[0] * self._shape[1] < 128 * 128:
            yield from (decode(*item) for item in self._encoded(rows))
            return
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for some in np.array_split(rows, max(1, -(-len(rows) // 256))):
                yield from pool.map(lambda item: decode(*item), self._encoded(some))


def decode(data: bytes, channels: int | None, name: str) -> Pixels:
    """Decode one image file, turned upright as its EXIF data say; channels None: as it has them.

    Returns:
        `[h, w, c]`, uint8; 16-bit gray keeps its upper 8 bits, transparency is dropped.

    Raises:
        DataError: the file is damaged, or no image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _pixels(image, channels)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"the image {name!r} cannot be decoded ({error or type(error).__name__}); "
            "replace the file, or leave it out of the source"
        ) from error


def _pixels(image: Image.Image, channels: int | None) -> Pixels:
    if "exif" in image.info:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers, not 8-bit colors")
    if image.mode.startswith("I"):
        upper = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(upper.clip(0, 255).astype(np.uint8))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    gray = image.mode in {"1", "L", "LA"} if channels is None else channels == 1
    mode = "L" if gray else "RGB"
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], 1 if gray else 3)
