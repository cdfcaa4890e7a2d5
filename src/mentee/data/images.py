"""Images by row: kept in memory where they are small and of one size, else decoded when asked."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from mentee.data.file_bytes import Files
from mentee.data.payload import MEMORY, Kind, Rows
from mentee.errors import DataError

Pixels = npt.NDArray[np.uint8]


class ArrayImages:
    """Images that are in memory already.

    Args:
        pixels: `[n, h, w, c]`, uint8.
    """

    kind: Kind = "image"
    sample_rate: int | None = None

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.channels = int(pixels.shape[3])

    def ready(self, rows: Rows) -> bool:
        """Always."""
        return True

    def load(self, rows: Rows) -> bool:
        """Nothing to do."""
        return True

    def read(self, rows: Rows) -> Pixels:
        """A copy of some rows, `[b, h, w, c]`."""
        return self.pixels[rows]

    def raw(self, row: int) -> bytes:
        """The row's pixels."""
        return bytes(self.pixels[row].data)


class EncodedImages:
    """Images that are decoded once and kept where they fit, else each time they are read.

    Args:
        files: the encoded files.
        ids: the rows' ids, for messages.
        channels: 1 (gray) or 3 (RGB); None: as the first image is.
        memory: bytes that all decoded images may take.

    Raises:
        DataError: the first image cannot be decoded.
    """

    kind: Kind = "image"
    sample_rate: int | None = None

    def __init__(
        self,
        files: Files,
        ids: Sequence[str],
        *,
        channels: int | None = None,
        memory: int = MEMORY,
    ) -> None:
        self.files = files
        self.ids = ids
        first = decode(self.raw(0), channels, ids[0])
        self.channels = int(first.shape[2])
        self._array: Pixels | None = None
        self._there: npt.NDArray[np.bool_] | None = None
        self._fits = len(ids) * first.size <= memory
        self._shape = first.shape

    def ready(self, rows: Rows) -> bool:
        """True where the rows are in memory, or never will be."""
        return not self._fits or (self._there is not None and bool(self._there[rows].all()))

    def load(self, rows: Rows) -> bool:
        """Decode the rows that are not in memory yet; false where they do not fit it."""
        if not self._fits:
            return False
        if self._array is None or self._there is None:
            self._array = np.empty((len(self.ids), *self._shape), np.uint8)
            self._there = np.zeros(len(self.ids), np.bool_)
        missing = rows[~self._there[rows]]
        for row, pixels in zip(missing, self._decoded(missing), strict=True):
            if pixels.shape != self._shape:
                self._fits, self._array, self._there = False, None, None
                return False
            self._array[row] = pixels
            self._there[row] = True
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
    """Decode one image file, turned upright as its EXIF data say.

    Args:
        data: the encoded file.
        channels: 1 (gray) or 3 (RGB); None: gray where the file is, else RGB.
        name: what to call the image in a message.

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
