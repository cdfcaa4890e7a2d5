"""Views: augmentation as a pure function of (seed, id, view).

The same (seed, id, view) gives the same input in any order, batch, worker or process, so what a
teacher said about a view can be written down once and found again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor

from mentee.data.audio_views import Cut, Mask, Shift
from mentee.data.image_views import Crop, Plain, build_imagenet
from mentee.data.payload import KINDS
from mentee.data.text_views import Bytes, Drop
from mentee.errors import DataError, suggest


@runtime_checkable
class Views(Protocol):
    """What examples hold, their keys and the number of a view → what a network reads.

    Attributes:
        fast: worker processes would not help: at least 20,000 small images, 5,000 clips of a
            second at 16 kHz, or 100,000 short texts a second.
    """

    fast: ClassVar[bool]

    def __call__(self, contents: Any, keys: Int64[Tensor, " b"], view: int) -> Tensor:
        """One view of each example.

        Args:
            contents: what `Examples.read` gives.
            keys: the examples' keys.
            view: the number of the view, from 0; or `CLEAN`: not augmented.

        Returns:
            `Batch.inputs`: images float32 `[b, c, h, w]` in [0, 1], in channels-last memory
            format; audio float32 `[b, samples]` in [-1, 1]; text uint8 `[b, t]`.

        Raises:
            DataError: the contents have several sizes or lengths, and none was chosen.
        """
        ...


@dataclass(frozen=True)
class Options:
    """What views are built from; each takes what it needs.

    Attributes:
        seed: another seed, other views.
        size: height and width of images, in pixels; None: as they are.
        pad: how far images are moved, in pixels.
        samples: of each clip; None: as many as it has.
        sample_rate: samples a second.
        max_bytes: bytes of each text; None: of the longest of a batch.
    """

    seed: int
    size: int | None
    pad: int
    samples: int | None
    sample_rate: int
    max_bytes: int | None


def _window(name: str, options: Options) -> int:
    if options.samples is None:
        raise DataError(f"the views {name!r} need `seconds`, such as 1: how much of a clip to take")
    return options.samples


VIEWS: dict[str, dict[str, Callable[[Options], Views]]] = {
    "image": {
        "none": lambda o: Plain(o.size),
        "crop": lambda o: Crop(o.seed, o.pad, mirror=False, size=o.size),
        "crop-flip": lambda o: Crop(o.seed, o.pad, mirror=True, size=o.size),
        "random-resized-crop": lambda o: build_imagenet(o.seed, o.size, False),
        "rand-augment": lambda o: build_imagenet(o.seed, o.size, True),
    },
    "audio": {
        "none": lambda o: Cut(o.samples),
        "shift": lambda o: Shift(o.seed, _window("shift", o)),
        "mask": lambda o: Mask(o.seed, _window("mask", o), o.sample_rate),
    },
    "text": {
        "none": lambda o: Bytes(o.max_bytes),
        "drop": lambda o: Drop(o.seed, o.max_bytes),
    },
}
"""Kind and name to what builds the views."""


def build_views(
    name: str,
    *,
    kind: str = "image",
    seed: int,
    size: int | None = None,
    pad: int = 4,
    seconds: float | None = None,
    sample_rate: int = 16_000,
    max_bytes: int | None = None,
) -> Views:
    """Build the views of a name.

    Args:
        name: of images: `none`, `crop` (digits: what is mirrored is another sign), `crop-flip`
            (small photographs), `random-resized-crop` or `rand-augment` (large ones; with
            torchvision). Of audio: `none` (the beginning of each clip), `shift` (any piece of it),
            `mask` (a piece without one band of frequencies and one stretch of time). Of text:
            `none`, or `drop` (a tenth of the words left out).
        kind: `image`, `audio` or `text`.
        seed: another seed, other views.
        size: of images: height and width in pixels; None: as the images are.
        pad: how far `crop` and `crop-flip` move an image, in pixels; 4 for 32×32, 1 for 8×8.
        seconds: of audio: how long each input is; None: as long as the clips, all of one length.
        sample_rate: of audio: samples a second.
        max_bytes: of text: bytes of each input; None: of the longest in each batch.

    Returns:
        A function `(contents, keys, view) → Batch.inputs`.

    Raises:
        DataError: there is no such name, a number is missing or out of range, or torchvision is
            missing.

    Example:
        >>> import torch
        >>> views = build_views("shift", kind="audio", seed=0, seconds=0.5)
        >>> clip, key = torch.linspace(-1, 1, 16_000), torch.tensor([7])
        >>> views([clip], key, 0).shape
        torch.Size([1, 8000])
        >>> build_views("none", kind="text", seed=0, max_bytes=4)(["tea"], key, 0).tolist()
        [[116, 101, 97, 0]]
    """
    if kind not in VIEWS:
        raise DataError(f"kind {kind!r}: {suggest(kind, KINDS)}")
    if name not in VIEWS[kind]:
        raise DataError(f"no views {name!r} of {kind}: {suggest(name, VIEWS[kind])}")
    if pad < 0 or (size is not None and size < 1):
        raise DataError(
            f"views {name!r} with size {size} and pad {pad}: expected size ≥ 1, pad ≥ 0"
        )
    samples = None if seconds is None else round(seconds * sample_rate)
    if samples is not None and samples < 1:
        raise DataError(
            f"views {name!r} of {seconds} seconds at rate {sample_rate}: expected a sample"
        )
    if max_bytes is not None and max_bytes < 4:
        raise DataError(f"views {name!r} of length {max_bytes}: expected at least 4, a character")
    return VIEWS[kind][name](Options(seed, size, pad, samples, sample_rate, max_bytes))
