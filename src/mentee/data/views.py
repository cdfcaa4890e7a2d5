"""Views: augmentation as a pure function of (seed, id, view).

The same (seed, id, view) gives the same image in any order, batch, worker or process, so what a
teacher said about a view can be written down once and found again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mentee.data.examples import ImageTensors
from mentee.data.hashing import below, mix
from mentee.data.pixels import crop, one_size, to_float
from mentee.errors import DataError, suggest
from mentee.types import CLEAN


@runtime_checkable
class Views(Protocol):
    """Images, their keys and the number of a view → what a network reads.

    Attributes:
        fast: at least 20,000 small images a second; worker processes would not help.
    """

    fast: ClassVar[bool]

    def __call__(
        self, images: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """One view of each image.

        Args:
            images: uint8 `[b, h, w, c]`, or a list of `[h, w, c]`.
            keys: the examples' keys.
            view: the number of the view, from 0; or `CLEAN`: not augmented.

        Returns:
            float32 in [0, 1], in channels-last memory format.

        Raises:
            DataError: the images have several sizes, and no size was chosen.
        """
        ...


@dataclass(frozen=True)
class Plain:
    """Every view is the image itself.

    Attributes:
        size: resize the shorter side to it and cut out the centre; None: leave as it is.
    """

    size: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, images: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The images, whatever the view."""
        return to_float(one_size(images, self.size))


@dataclass(frozen=True)
class Crop:
    """Surround with `pad` zeros, cut out the old size anywhere, mirror half of them.

    Attributes:
        seed: another seed, other views.
        pad: zeros on each side, in pixels.
        mirror: flip left and right with probability 1/2.
        size: as for `Plain`, before anything else.
    """

    seed: int
    pad: int = 4
    mirror: bool = True
    size: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, images: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The crop of each image that this view has."""
        pixels = one_size(images, self.size)
        if view == CLEAN:
            return to_float(pixels)
        numbers = keys.numpy()
        down = below(2 * self.pad + 1, self.seed, numbers, "crop", view, 0)
        right = below(2 * self.pad + 1, self.seed, numbers, "crop", view, 1)
        flipped = below(2, self.seed, numbers, "crop", view, 2) == 1
        return to_float(crop(pixels, down, right, flipped & self.mirror, pad=self.pad))


@dataclass(frozen=True)
class ImageNet:
    """A random part of random shape, resized and mirrored, as for ImageNet; torchvision's.

    The clean view resizes the shorter side to 8/7 of `size` and cuts out the centre, except for
    images that have that size already.

    Attributes:
        seed: another seed, other views.
        size: height and width of what comes out.
        rand_augment: two further random changes of colour or geometry (RandAugment, magnitude 9).
    """

    seed: int
    size: int
    rand_augment: bool = False
    fast: ClassVar[bool] = False

    def __call__(
        self, images: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The random part of each image that this view has."""
        if view == CLEAN:
            return to_float(one_size(images, self.size, margin=8 / 7))
        change = _imagenet(self.size, self.rand_augment)
        seeds = mix(self.seed, keys.numpy(), "imagenet", view).tolist()
        # torchvision draws from torch's global generator: seed that one, on the CPU only, for each
        # image, and put it back as it was.
        before = torch.get_rng_state()
        try:
            changed = []
            for image, seed in zip(images, seeds, strict=True):
                torch.default_generator.manual_seed(seed >> 1)
                changed.append(change(image.permute(2, 0, 1)))
        finally:
            torch.set_rng_state(before)
        return to_float(torch.stack(changed).permute(0, 2, 3, 1).contiguous())


@lru_cache(maxsize=8)
def _imagenet(size: int, rand_augment: bool) -> Callable[[Tensor], Tensor]:
    v2 = _torchvision()
    steps = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
    return v2.Compose([*steps, v2.RandAugment()] if rand_augment else steps)  # type: ignore[no-any-return]


def _torchvision() -> Any:
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise DataError(
            "the views random-resized-crop and rand-augment need torchvision: "
            "pip install 'mentee[vision]'"
        ) from error
    return v2


def _build_imagenet(seed: int, size: int | None, rand_augment: bool) -> Views:
    if size is None:
        raise DataError(
            "the views random-resized-crop and rand-augment need a `size`, such as 224 (pixels)"
        )
    _torchvision()
    return ImageNet(seed, size, rand_augment)


VIEWS: dict[str, Callable[[int, int | None, int], Views]] = {
    "none": lambda seed, size, pad: Plain(size),
    "crop": lambda seed, size, pad: Crop(seed, pad, mirror=False, size=size),
    "crop-flip": lambda seed, size, pad: Crop(seed, pad, mirror=True, size=size),
    "random-resized-crop": lambda seed, size, pad: _build_imagenet(seed, size, False),
    "rand-augment": lambda seed, size, pad: _build_imagenet(seed, size, True),
}
"""Name to what builds it from (seed, size, pad)."""


def build_views(name: str, *, seed: int, size: int | None = None, pad: int = 4) -> Views:
    """Build the views of a name.

    Args:
        name: `none`, `crop` (digits: what is mirrored is another sign), `crop-flip` (small
            photographs), `random-resized-crop` or `rand-augment` (large ones; with torchvision).
        seed: another seed, other views.
        size: height and width in pixels; None: as the images are.
        pad: how far `crop` and `crop-flip` move an image, in pixels; 4 for 32×32, 1 for 8×8.

    Returns:
        A function `(images, keys, view) → float32 [b, c, h, w] in [0, 1]`.

    Raises:
        DataError: there is no such name, a number is out of range, or torchvision is missing.

    Example:
        >>> views = build_views("crop", seed=0, pad=1)
        >>> images, keys = torch.full((1, 8, 8, 1), 255, dtype=torch.uint8), torch.tensor([7])
        >>> views(images, keys, 0).shape, float(views(images, keys, CLEAN).min())
        (torch.Size([1, 1, 8, 8]), 1.0)
    """
    if name not in VIEWS:
        raise DataError(f"no views {name!r}: {suggest(name, VIEWS)}")
    if pad < 0 or (size is not None and size < 1):
        raise DataError(
            f"views {name!r} with size {size} and pad {pad}: expected size ≥ 1, pad ≥ 0"
        )
    return VIEWS[name](seed, size, pad)
