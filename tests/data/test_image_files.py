"""What becomes of the pixels of unusual image files: deep, transparent, gray among colors."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mentee.data import Examples, build_views, open_examples
from mentee.data.image_views import one_size
from mentee.data.inspection import inspect
from mentee.errors import DataError

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write images into a class folder `a` under their names; returns the root."""

    def make(**images: Any) -> Path:
        for name, image in images.items():
            stem, _, ending = name.rpartition("_")
            path = tmp_path / "images" / "a" / f"{stem}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(image, bytes):
                path.write_bytes(image)
            else:
                image = image if isinstance(image, Image.Image) else Image.fromarray(image)
                image.save(path)
        return tmp_path / "images"

    return make


def _pixels(examples: Examples) -> list[Any]:
    return [np.asarray(one) for one in examples.read(np.arange(len(examples)))]


def _ramp(most: int) -> np.ndarray:
    """16-bit numbers from 0 to `most`, both among them."""
    return np.linspace(0, most, 35).round().astype(np.uint16).reshape(5, 7)


@pytest.mark.parametrize(
    ("most", "bits"),
    [
        pytest.param(255, 8, id="8 bits"),
        pytest.param(1023, 10, id="10 bits"),
        pytest.param(3800, 12, id="12 bits"),
        pytest.param(16_000, 14, id="14 bits"),
        pytest.param(65_535, 16, id="16 bits"),
    ],
)
@pytest.mark.parametrize("ending", ["png", "tif", "jp2"])
def test_the_bits_in_use_of_16_bit_images_are_kept(
    save: Save, most: int, bits: int, ending: str
) -> None:
    if ending == "jp2":
        file = io.BytesIO()
        Image.fromarray(_ramp(most)).save(file, "JPEG2000", irreversible=False)
        images: dict[str, Any] = {"0_jp2": file.getvalue()}
    else:
        images = {f"0_{ending}": _ramp(most)}
    examples = open_examples(save(**images))
    (pixels,) = _pixels(examples)
    np.testing.assert_array_equal(pixels[..., 0], _ramp(most) >> (bits - 8))
    assert (examples.bits, examples.channels) == (bits, 1)
    assert inspect(examples) == [
        f"{examples.name}: 1 images of {bits} bits, of which the upper 8 are read"
    ]


def test_the_bits_are_those_of_all_images_not_of_each(save: Save) -> None:
    dark = np.full((5, 7), 40, np.uint16)
    root = save(**{"0_png": dark, "1_png": _ramp(4095), "2_tif": _ramp(900)})
    read = _pixels(open_examples(root))
    for got, deep in zip(read, (dark, _ramp(4095), _ramp(900)), strict=True):
        np.testing.assert_array_equal(got[..., 0], deep >> 4)
    with pytest.raises(DataError, match="numbers from 0 to 4095; expected 0 to 1023, which is 10"):
        _pixels(open_examples(root, bits=10))
    assert _pixels(open_examples(root, bits=16))[1].max() == 4095 >> 8


def test_deep_images_in_a_table_are_read_as_in_a_folder(save: Save) -> None:
    import datasets

    root = save(**{"0_png": _ramp(4095)})
    file = (root / "a" / "0.png").read_bytes()
    table = datasets.Dataset.from_dict({"image": [file]})
    np.testing.assert_array_equal(_pixels(open_examples(table))[0], _pixels(open_examples(root))[0])


def _png(color_type: int, depth: int, rows: np.ndarray, *more: bytes) -> bytes:
    h, w = rows.shape[:2]
    lines = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", w, h, depth, color_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + b"".join(chunk(each[:4], each[4:]) for each in more)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def test_colors_of_16_bits_that_use_fewer_are_refused(save: Save) -> None:
    ramp = np.repeat(_ramp(4095)[..., None], 3, axis=2)
    root = save(**{"0_png": _png(2, 16, ramp)})
    with pytest.raises(DataError, match="16-bit colors of which only 12 bits are in use"):
        _pixels(open_examples(root))
    full = np.repeat(_ramp(65_535)[..., None], 3, axis=2)
    (pixels,) = _pixels(open_examples(save(**{"0_png": _png(2, 16, full)})))
    np.testing.assert_array_equal(pixels, full >> 8)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (np.array([[-5, 200]], np.int32), "tif", "numbers from -5 to 200; expected 0 to 255"),
        (np.array([[0, 70_000]], np.int32), "tif", "numbers from 0 to 70000; expected 0 to 65535"),
        (np.zeros((2, 2), np.float32), "tif", "floating-point numbers, not 8-bit colors"),
    ],
    ids=["negative", "32 bits", "float"],
)
def test_numbers_that_are_no_pixels_are_refused(
    save: Save, values: np.ndarray, kind: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _pixels(open_examples(save(**{f"0_{kind}": values})))


def _glyph(mode: str, color: int) -> Image.Image:
    """An image whose shape is in its alpha channel alone: the left half is opaque."""
    alpha = np.zeros((4, 6), np.uint8)
    alpha[:, :3] = 255
    base = np.full((4, 6), color, np.uint8)
    layers = [base] * (3 if mode == "RGBA" else 1) + [alpha]
    return Image.merge(mode, [Image.fromarray(layer) for layer in layers])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_what_is_transparent_becomes_white(save: Save, mode: str, ending: str) -> None:
    examples = open_examples(save(**{f"0_{ending}": _glyph(mode, 0)}))
    (pixels,) = _pixels(examples)
    c = 1 if mode == "LA" and ending != "webp" else 3
    np.testing.assert_array_equal(pixels, np.repeat([[[0] * c] * 3 + [[255] * c] * 3], 4, axis=0))
    assert inspect(examples) == [f"{examples.name}: 1 images with transparent parts, on white"]
    with_black = open_examples(save(**{f"0_{ending}": _glyph(mode, 255)}), background="black")
    assert _pixels(with_black)[0][0, :, 0].tolist() == [255] * 3 + [0] * 3


def test_a_palette_with_transparency_and_half_transparent_pixels(save: Save) -> None:
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([200, 0, 0, 0, 100, 0])
    half = Image.new("RGBA", (4, 2), (0, 0, 0, 102))
    file = io.BytesIO()
    palette.save(file, "PNG", transparency=1)
    root = save(**{"0_png": file.getvalue(), "1_png": half, "2_png": Image.new("RGBA", (4, 2))})
    first, second, third = (each[0, 0].tolist() for each in _pixels(open_examples(root)))
    assert first == third == [255, 255, 255]
    assert second == [153, 153, 153]  # 255 · (1 - 102/255)


def test_white_on_transparent_is_constant_on_white_and_told(save: Save) -> None:
    white = _glyph("RGBA", 255)
    root = save(**{"0_png": white, "1_png": white, "2_png": _glyph("RGBA", 0)})
    examples = open_examples(root)
    assert inspect(examples)[-1] == (
        f"{examples.name}: 2 of 3 images are of one color, such as 'a/0.png'"
    )
    assert not inspect(open_examples(root, background="black"))[-1].endswith("'a/0.png'")


def test_gray_images_first_leave_the_colors_of_others(save: Save) -> None:
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (5, 7), dtype=np.uint8)
    color = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    images: dict[str, Any] = {f"{i:03}_png": gray for i in range(200)}
    root = save(**images, **{"zzz_png": color})
    examples = open_examples(root)
    assert examples.channels == 3
    np.testing.assert_array_equal(_pixels(examples)[-1], color)
    np.testing.assert_array_equal(_pixels(examples)[0], np.repeat(gray[..., None], 3, axis=2))
    asked = open_examples(root, channels=1)
    assert inspect(asked) == [f"{asked.name}: 1 images in color, read in gray"]


def test_gray_images_first_in_a_table(save: Save, tmp_path: Path) -> None:
    import datasets

    rng = np.random.default_rng(0)
    files = []
    for shape in ((5, 7), (5, 7), (5, 7, 3)):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(file, "PNG")
        files.append(file.getvalue())
    datasets.Dataset.from_dict({"image": files}).to_parquet(tmp_path / "train.parquet")
    examples = open_examples(tmp_path)
    assert examples.channels == 3
    assert len(np.unique(_pixels(examples)[2].reshape(-1, 3), axis=0)) > 30


@pytest.mark.parametrize(
    "ending", ["jfif", "avif", "jp2", "jpe", "j2k", "dib", "tga", "pnm", "JFIF"]
)
def test_files_of_every_usual_ending_are_read(save: Save, ending: str) -> None:
    color = np.zeros((16, 16, 3), np.uint8)
    color[:, 8:] = (255, 0, 0)
    kinds = {"jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000", "j2k": "JPEG2000", "pnm": "PPM"}
    kinds |= {"apng": "PNG", "dib": "BMP"}
    file = io.BytesIO()
    Image.fromarray(color).save(file, kinds.get(ending.lower(), ending.upper()))
    root = save(**{"0_png": color, f"1_{ending}": file.getvalue()})
    examples = open_examples(root)
    assert examples.ids == ("a/0.png", f"a/1.{ending}")
    np.testing.assert_allclose(_pixels(examples)[1].astype(int), color.astype(int), atol=60)


@pytest.mark.parametrize("ending", ["aifc", "rf64", "WAVE", "snd"])
def test_audio_of_every_usual_ending_is_read(wav: Callable[..., Path], ending: str) -> None:
    root = wav("a/0.wav").parents[1]
    wav(f"a/1.{ending}")
    assert open_examples(root).ids == ("a/0.wav", f"a/1.{ending}")


def test_what_is_left_out_is_counted(save: Save) -> None:
    root = save(**{"0_png": np.zeros((4, 4), np.uint8)})
    for name in ("b.heic", "c.HEIC", "d.txt", "README"):
        (root / "a" / name).write_text("x")
    assert open_examples(root).left_out == (f"left out of {root}: 2 .heic, 1 README, 1 .txt",)


@pytest.mark.parametrize("channels", [1, 3])
def test_lab_keeps_its_colors(save: Save, channels: int) -> None:
    from PIL import ImageCms

    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]], np.uint8)
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(rgb), srgb, lab, outputMode="LAB")
    assert image is not None
    examples = open_examples(save(**{"0_tif": image}), channels=channels)
    expected = Image.fromarray(rgb).convert("L" if channels == 1 else "RGB")
    np.testing.assert_allclose(
        _pixels(examples)[0].squeeze().astype(int), np.asarray(expected).squeeze(), atol=25
    )
    assert "1 images in LAB, turned into RGB" in inspect(examples)[0]


def _exif(data: bytes, *, behind: bool) -> bytes:
    """A PNG of 2 by 3 pixels with EXIF data, before or behind its pixels."""
    rows = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    if not behind:
        return _png(0, 8, rows, b"eXIf" + data)
    file = _png(0, 8, rows)
    end = file.index(b"IEND") - 4
    chunk = b"eXIf" + data
    return (
        file[:end]
        + struct.pack(">I", len(data))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + file[end:]
    )


_PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x05", b"Exif\0\0II*\0"],
    ids=["empty", "text", "far away", "cut", "no entries"],
)
def test_a_good_image_with_bad_exif_data_is_read(save: Save, data: bytes, behind: bool) -> None:
    (pixels,) = _pixels(open_examples(save(**{"0_png": _exif(data, behind=behind)})))
    np.testing.assert_array_equal(pixels[..., 0], _PIXELS)


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_good_exif_data_turn_the_image_wherever_they_are(save: Save, behind: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = _exif(exif.tobytes().removeprefix(b"Exif\0\0"), behind=behind)
    (pixels,) = _pixels(open_examples(save(**{"0_png": file})))
    np.testing.assert_array_equal(pixels[..., 0], np.rot90(_PIXELS, -1))


def test_a_good_jpeg_with_bad_exif_data_is_read(save: Save) -> None:
    flat = Image.new("RGB", (8, 8), (200, 100, 50))
    file = io.BytesIO()
    flat.save(file, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    (pixels,) = _pixels(open_examples(save(**{"0_jpg": file.getvalue()})))
    np.testing.assert_allclose(pixels.astype(int), np.asarray(flat, int), atol=3)


def _bomb(kind: str) -> bytes:
    """A small file that says that it has 400 million pixels."""
    if kind == "png":
        rows = np.zeros((1, 1), np.uint8)
        file = bytearray(_png(0, 8, rows))
        file[16:24] = struct.pack(">II", 20_000, 20_000)
        file[29:33] = struct.pack(">I", zlib.crc32(file[12:29]))
        return bytes(file)
    if kind == "gif":
        return (
            b"GIF89a"
            + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
            + (b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x08\x01\0\0;")
        )
    return b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 20_000, 20_000, 1, 24, *[0] * 6
    )


@pytest.mark.parametrize("kind", ["png", "gif", "bmp"])
def test_a_decompression_bomb_is_one_sentence(save: Save, kind: str) -> None:
    good = np.zeros((4, 4), np.uint8)
    root = save(**{"0_png": good, f"1_{kind}": _bomb(kind)})
    with pytest.raises(DataError, match=f"the image 'a/1.{kind}' cannot be decoded .*bomb"):
        open_examples(root).load()
    assert open_examples(root, unreadable="skip").ids == ("a/0.png",)


def test_postscript_called_an_image_runs_no_program(save: Save) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(DataError, match=r"'a/1.png' cannot be decoded \(it is no image"):
        open_examples(save(**{"0_png": np.zeros((4, 4), np.uint8), "1_png": eps})).load()


@pytest.mark.parametrize(("h", "w"), [(2, 200_000), (200_000, 2), (3, 150_001)])
def test_a_very_thin_image_is_resized_without_its_far_ends(
    monkeypatch: pytest.MonkeyPatch, h: int, w: int
) -> None:
    import torch
    from torch.nn import functional

    sizes = []
    interpolate = functional.interpolate

    def watched(x: Any, size: tuple[int, int], **options: Any) -> Any:
        sizes.append(size[0] * size[1])
        return interpolate(x, size, **options)

    monkeypatch.setattr(functional, "interpolate", watched)
    image = torch.zeros(h, w, 3, dtype=torch.uint8)
    image[h // 2 if h > w else slice(None), w // 2 if w > h else slice(None)] = 255
    (square,) = one_size([image], 64)
    assert square.shape == (64, 64, 3)
    assert square.max() > 240
    views = build_views("random-resized-crop", seed=0, size=64)
    assert views([image], torch.tensor([1]), -1).shape == (1, 3, 64, 64)
    from mentee.models import InputContract, normalize

    contract = InputContract((0.5,), (0.5,), resize=64)
    assert normalize(image.permute(2, 0, 1)[None] / 255, contract).shape == (1, 3, 64, 64)
    assert max(sizes) <= 1 << 24


@pytest.mark.parametrize("w", [600, 3000])
def test_cutting_far_ends_changes_no_center(monkeypatch: pytest.MonkeyPatch, w: int) -> None:
    import torch

    from mentee.data import image_views

    image = torch.randint(0, 256, (3, w, 3), dtype=torch.uint8)
    whole = one_size([image], 32)
    monkeypatch.setattr(image_views, "LARGEST", 1000)
    np.testing.assert_allclose(one_size([image], 32).int(), whole.int(), atol=1)
