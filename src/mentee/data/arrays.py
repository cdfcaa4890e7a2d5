"""Pixels, samples and texts that are in memory already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mentee.data.audio import FULL, ArrayClips, Wave, resample
from mentee.data.examples import Examples, make_examples, row_ids
from mentee.data.images import ArrayImages, Pixels
from mentee.data.labels import Labels, read_labels
from mentee.data.payload import KINDS, Payload
from mentee.data.texts import Texts
from mentee.errors import DataError, suggest

_KEYS = ("image", "audio", "text", "label", "id", "layout", "sample_rate")
_LAYOUTS = {"nhw": (0, 1, 2), "nhwc": (0, 1, 2, 3), "nchw": (0, 2, 3, 1)}


def open_arrays(
    arrays: Mapping[str, Any],
    *,
    rows: str = "train",
    classes: Sequence[str] | None = None,
    channels: int | None = None,
    sample_rate: int = 16_000,
    name: str = "arrays",
) -> Examples:
    """Read NumPy arrays, torch tensors or lists.

    Args:
        arrays: one of `image`: uint8 `[n, h, w]` or `[n, h, w, c]`, or `[n, c, h, w]` together
            with `layout: "nchw"`; `audio`: `[n, samples]` or a list of `[samples]`, floating point
            in [-1, 1] or int16, together with `sample_rate`, the samples a second; `text`: `n`
            texts. Optional `label`: as for `read_labels`; optional `id`: `n` texts.
        rows: what row numbers are called in ids: `rows/0`, `rows/1`, ...
        classes: the class names in the order of the numbers.
        channels: 1 (gray) or 3 (RGB); None: as given.
        sample_rate: samples a second to read audio at.
        name: what to call them in messages.

    Returns:
        All examples; nothing is copied where it needs no conversion.

    Raises:
        DataError: the type or shape of an array is not what it should be.

    Example:
        >>> two = open_arrays({"image": np.zeros((2, 8, 8), np.uint8), "label": [0, 1]})
        >>> two.ids, two.read(np.array([1])).shape
        (('train/0', 'train/1'), torch.Size([1, 8, 8, 1]))
    """
    for key in arrays:
        if key not in _KEYS:
            raise DataError(f"{name} have a part {key!r}: {suggest(key, _KEYS)}")
    kinds = [kind for kind in KINDS if kind in arrays]
    if len(kinds) != 1:
        parts = ", ".join(arrays) or "nothing"
        raise DataError(f"{name} need one part of 'image', 'audio' and 'text'; they have {parts}")
    kind = kinds[0]
    content = _array(arrays[kind])
    if not len(content):
        raise DataError(f"{name} are empty: give them at least one example")
    given = arrays.get("id")
    ids = row_ids(rows, len(content)) if given is None else [str(value) for value in given]
    if len(ids) != len(content):
        raise DataError(f"{name} have {len(content)} examples and {len(ids)} ids")
    contents: Payload
    if kind == "image":
        pixels = _pixels(content, arrays.get("layout"), name)
        contents = ArrayImages(_convert(pixels, channels))
    elif kind == "audio":
        contents = ArrayClips(
            _clips(content, ids, arrays.get("sample_rate"), sample_rate, name), sample_rate
        )
    else:
        contents = Texts(content, ids)
    label = arrays.get("label")
    labels = Labels() if label is None else read_labels(_array(label), classes=classes)
    return make_examples(contents, ids, labels, name=name)


def _array(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _pixels(given: Any, layout: str | None, name: str) -> Pixels:
    pixels = np.asarray(given)
    if pixels.dtype != np.uint8:
        raise DataError(
            f"the images of {name} are {pixels.dtype}; expected uint8 from 0 to 255 "
            "(numbers in [0, 1]: multiply by 255 and round)"
        )
    kind = layout or ("nhw" if pixels.ndim == 3 else "nhwc")
    if kind not in _LAYOUTS:
        raise DataError(f"layout {kind!r}: {suggest(kind, _LAYOUTS)}")
    if pixels.ndim == len(kind):
        pixels = pixels.transpose(_LAYOUTS[kind])
        pixels = pixels[..., None] if kind == "nhw" else pixels
        if pixels.shape[3] in (1, 3):
            return pixels
    raise DataError(
        f"the images of {name} have shape {np.shape(given)}, read as {kind!r}; expected [n, h, w] "
        "or [n, h, w, c] with 1 or 3 channels, or [n, c, h, w] together with layout 'nchw'"
    )


def _clips(content: Any, ids: Sequence[str], given: Any, sample_rate: int, name: str) -> list[Wave]:
    if not isinstance(given, int) or given < 1:
        raise DataError(
            f"the audio of {name} has the rate {given!r}; expected the samples a second as a "
            "whole number, such as 'rate': 16000"
        )
    return [
        resample(_wave(_array(c), i), given, sample_rate) for c, i in zip(content, ids, strict=True)
    ]


def _wave(clip: Any, id: str) -> Wave:
    samples = np.asarray(clip)
    if samples.ndim != 1 or not len(samples):
        raise DataError(f"the clip {id!r} has shape {samples.shape}; expected [samples], mono")
    if samples.dtype == np.int16:
        return (samples / FULL).astype(np.float32)
    if samples.dtype.kind != "f":
        raise DataError(f"the clip {id!r} is {samples.dtype}; expected floating point or int16")
    peak = np.abs(samples).max()
    if not peak <= 1:
        raise DataError(
            f"the clip {id!r} reaches {peak:g}; expected samples in [-1, 1]: "
            "divide all clips by one number"
        )
    return np.ascontiguousarray(samples, np.float32)


def _convert(pixels: Pixels, channels: int | None) -> Pixels:
    if channels is None or pixels.shape[3] == channels:
        return np.ascontiguousarray(pixels)
    if channels == 3:
        return np.repeat(pixels, 3, axis=3)
    # ITU-R 601 luma in 16-bit fixed point, as Pillow computes it
    weights = np.array([19595, 38470, 7471])
    gray: Pixels = ((pixels @ weights + 0x8000) >> 16).astype(np.uint8)
    return gray[..., None]
