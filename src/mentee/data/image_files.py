"""One encoded image to its pixels, and what was changed on the way."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from mentee.data.payload import Files, ReadOptions
from mentee.data.unreadable import UnreadableError

Pixels = npt.NDArray[np.uint8]

SAMPLED = 64
"""Files that are looked at to know what a source holds; 16 times as many where all are gray."""

BACKGROUNDS = ("white", "black")

# Formats that run another program (EPS: Ghostscript), or of which Pillow reads no pixels.
_REFUSED = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
_GRAY = {"1", "L", "LA", "I", "F"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEPTHS = (8, 10, 12, 14, 16)
_FULL = 14


@dataclass(frozen=True)
class Decoding:
    """How the files of one source become pixels.

    Of 16-bit images that make use of `bits`, the upper 8 of these are kept; None: they have to make
    use of nearly all.
    """

    channels: int
    bits: int | None = None
    background: str = "white"


def find_decoding(files: Files, n: int, options: ReadOptions) -> Decoding | None:
    """What a recipe leaves open, as an evenly spaced sample of `n` files has it.

    RGB where one of them is in color; of 8, 10, 12, 14 and 16 bits the fewest that hold what is in
    16-bit images. The sample is larger where all of the first are gray. None: none is an image.
    """
    channels, bits, largest, any_image = options.channels, options.bits, -1, False
    for count in (SAMPLED, 16 * SAMPLED):
        for row in np.unique(np.linspace(0, n - 1, count).astype(np.int64)):
            try:
                data = files.fetch(np.array([row]))[0]
                with Image.open(io.BytesIO(data), formats=_formats()) as image:
                    any_image = True
                    channels = channels or (None if _is_gray(image) else 3)
                    if bits is None and _is_deep(image):
                        largest = max(largest, _largest(image))
            except Exception:  # noqa: PERF203 - it is named when it is read
                continue
        if channels is not None or n <= SAMPLED:
            break
    if not any_image:
        return None
    if largest >= 0:
        bits = next((bits for bits in _DEPTHS if largest < 1 << bits), 16)
    return Decoding(channels or 1, bits, options.background)


def decode(data: bytes, how: Decoding, name: str) -> tuple[Pixels, tuple[str, ...]]:
    """Decode one image file, turned upright as its EXIF data say.

    Returns:
        `[h, w, c]`, uint8, and in words what was changed.

    Raises:
        UnreadableError: the file is damaged, no image, or its numbers are out of range.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            return decode_image(image, how)
    # Pillow's readers raise anything on damaged files: struct.error, IndexError, a bomb's error
    except Exception as error:
        reason = f"{error}" or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "it is no image that Pillow reads" if data else "it is empty"
        raise UnreadableError.of(
            f"the image {name!r} cannot be decoded", reason, "replace the file"
        ) from error


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _REFUSED]


def _is_gray(image: Image.Image) -> bool:
    return image.mode in _GRAY or image.mode.startswith("I;16")


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or _is_deep_color(image)


def _is_deep_color(image: Image.Image) -> bool:
    # Pillow opens colors of 16 bits as RGB and keeps their upper 8 bits.
    if image.format == "PNG":
        return ";16" in f"{getattr(image, 'tile', '')}"
    tags = getattr(image, "tag_v2", None)
    return tags is not None and image.mode != "F" and max(tags.get(258, (8,))) == 16


def _largest(image: Image.Image) -> int:
    if image.mode.startswith("I"):
        return int(np.asarray(image).max())
    return int(np.asarray(image.convert("RGB")).max()) << 8 | 255


def decode_image(image: Image.Image, how: Decoding) -> tuple[Pixels, tuple[str, ...]]:
    """The same of an image that Pillow has opened.

    Raises:
        ValueError: its numbers are out of range.
    """
    gray, deep_color = _is_gray(image), _is_deep_color(image)
    changes = []
    if getattr(image, "is_animated", False) and image.format != "MPO":
        changes.append("with several frames, of which the first is read")
    image.load()
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers, not 8-bit colors")
    image, upright = _upright(image)
    if not upright:
        changes.append("with EXIF data that cannot be read, not turned")
    if image.mode.startswith("I") or deep_color:
        image, bits = _eight_bits(image, how.bits)
        changes.append(f"of {bits} bits, of which the upper 8 are read")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        image, transparent = _opaque(image, how.background)
        changes += [f"with transparent parts, on {how.background}"] if transparent else []
    if image.mode in {"CMYK", "LAB", "YCbCr", "HSV"}:
        changes.append(f"in {image.mode}, turned into RGB")
        image = image.convert("RGB")  # of LAB there is no way to gray
    if how.channels == 1 and not gray:
        changes.append("in color, read in gray")
    mode = "L" if how.channels == 1 else "RGB"
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], how.channels), tuple(changes)


def _eight_bits(image: Image.Image, bits: int | None) -> tuple[Image.Image, int]:
    largest = _largest(image)
    if bits is None:
        if largest < 1 << _FULL:
            raise ValueError(
                f"it holds 16-bit numbers of {largest} at most, and the first images are of 8 "
                "bits: say how many bits are in use, such as data.bits: 12"
            )
        bits = 16
    if not image.mode.startswith("I"):
        if bits < _FULL:
            raise ValueError(
                f"it holds 16-bit colors of which only {bits} bits are in use, and of these Pillow "
                "reads the upper 8 alone: save it with 8 bits, or say data.bits: 16"
            )
        return image, 16
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or largest >= 1 << bits:
        raise ValueError(
            f"it holds numbers from {pixels.min()} to {largest}; expected 0 to {(1 << bits) - 1}, "
            f"which is {bits} bits: data.bits says how many are in use, 8 to 16"
        )
    return Image.fromarray((pixels >> (bits - 8)).astype(np.uint8)), bits


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    if "exif" not in image.info:
        return image, True
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the pixels are none the worse for it
        return image, False
    return (image if turn is None else image.transpose(turn)), True


def _opaque(image: Image.Image, background: str) -> tuple[Image.Image, bool]:
    layered = image.convert("RGBA")
    if np.asarray(layered.getchannel("A")).min() == 255:
        return layered.convert("RGB"), False
    below = Image.new("RGBA", layered.size, background)
    return Image.alpha_composite(below, layered).convert("RGB"), True
