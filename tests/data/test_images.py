from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mentee.data import open_examples
from mentee.data.image_files import Decoding, decode
from mentee.data.images import EncodedImages
from mentee.data.payload import FolderFiles, ReadOptions
from mentee.errors import DataError


def _file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _read(*files: bytes, **options: Any) -> list[np.ndarray]:
    """Pixels of files in a table."""
    import datasets

    table = datasets.Dataset.from_dict({"image": list(files)})
    return [x.numpy() for x in open_examples(table, **options).read(np.arange(len(files)))]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3, None])
def test_any_mode_becomes_gray_or_rgb(
    mode: str, channels: int | None, rng: np.random.Generator
) -> None:
    colors = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).convert(mode)
    (pixels,) = _read(_file(colors), channels=channels)
    c = channels or (1 if mode in ("1", "L", "LA") else 3)
    expected = np.asarray(colors.convert("L" if c == 1 else "RGB")).reshape(4, 5, c)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected)


def test_sixteen_bit_gray_keeps_its_upper_bits() -> None:
    deep = np.array([[0, 255, 256], [0x1234, 0xABCD, 0xFFFF]], np.uint16)
    (pixels,) = _read(_file(Image.fromarray(deep)))
    assert pixels[..., 0].tolist() == [[0, 0, 1], [0x12, 0xAB, 0xFF]]


def test_a_photograph_is_turned_upright(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    file = _file(Image.fromarray(pixels), exif=exif)
    np.testing.assert_array_equal(_read(file)[0], np.rot90(pixels, -1))


@pytest.mark.parametrize("data", [b"", b"hello", None])
def test_a_damaged_file_is_named(data: bytes | None, rng: np.random.Generator) -> None:
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = _file(noise)[:2000] if data is None else data
    with pytest.raises(DataError, match=r"the image 'cat/1.png' cannot be decoded .*replace"):
        decode(data, Decoding(3), "cat/1.png")


def test_floating_point_pixels_are_refused() -> None:
    file = _file(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF")
    with pytest.raises(DataError, match="floating-point"):
        decode(file, Decoding(3), "x")


class _Counted(FolderFiles):
    fetched = 0

    def fetch(self, rows: np.ndarray) -> list[bytes]:
        self.fetched += len(rows)
        return super().fetch(rows)


def _source(root: Path, n: int, **memory: int) -> tuple[_Counted, EncodedImages]:
    names = [f"{i}.png" for i in range(n)]
    files = _Counted(root, names)
    return files, EncodedImages(files, names, ReadOptions("images"), **memory)


@pytest.mark.parametrize("side", [6, 130])
def test_small_images_are_decoded_once(folder: Callable[..., Path], side: int) -> None:
    root = folder("0.png", "1.png", "2.png", h=side, w=side)
    files, images = _source(root, 3)
    rows = np.array([2, 0])
    assert not images.ready(rows)
    assert images.load(rows)
    assert images.ready(rows)
    assert not images.ready(np.array([1]))
    before = files.fetched
    pixels = images.read(rows)
    assert images.load(rows)
    assert files.fetched == before
    for got, row in zip(pixels, rows, strict=True):
        np.testing.assert_array_equal(got, np.asarray(Image.open(root / f"{row}.png")))


def test_images_beyond_the_memory_limit_stay_on_disk(folder: Callable[..., Path]) -> None:
    root = folder("0.png", "1.png", h=6, w=5)
    files, images = _source(root, 2, memory=2 * 6 * 5 * 3 - 1)
    rows = np.array([1, 0])
    assert not images.load(rows)
    assert images.ready(rows)
    before = files.fetched
    assert isinstance(images.read(rows), list)
    assert files.fetched == before + 2


def test_images_of_several_sizes_stay_on_disk(folder: Callable[..., Path]) -> None:
    root = folder("0.png", "1.png", h=6, w=5)
    folder("2.png", h=7, w=5)
    _, images = _source(root, 3)
    assert not images.load(np.arange(3))
    assert [image.shape for image in images.read(np.arange(3))] == [(6, 5, 3)] * 2 + [(7, 5, 3)]


def test_a_file_that_went_away_is_named(folder: Callable[..., Path]) -> None:
    root = folder("0.png", "1.png")
    _, images = _source(root, 2)
    (root / "1.png").unlink()
    with pytest.raises(DataError, match=r"1.png cannot be read \(No such file"):
        images.load(np.arange(2))
