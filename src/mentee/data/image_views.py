"""Views of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mentee.data.counter_rng import below, mix
from mentee.data.payload import ImageTensors
from mentee.data.pixels import crop, one_size, to_float
from mentee.errors import DataError
from mentee.types import CLEAN


@dataclass(frozen=True)
class Plain:
    """Every view is the image itself.

    Attributes:
        size: resize the shorter side to it and cut out the center; None: leave as it is.
    """

    size: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The images, whatever the view."""
        return to_float(one_size(contents, self.size))


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
        self, contents: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The crop of each image that this view has."""
        pixels = one_size(contents, self.size)
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

    The clean view resizes the shorter side to 8/7 of `size` and cuts out the center, except for
    images that have that size already.

    Attributes:
        seed: another seed, other views.
        size: height and width of what comes out.
        rand_augment: two further random changes of color or geometry (RandAugment, magnitude 9).
    """

    seed: int
    size: int
    rand_augment: bool = False
    fast: ClassVar[bool] = False

    def __call__(
        self, contents: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The random part of each image that this view has."""
        if view == CLEAN:
            return to_float(one_size(contents, self.size, margin=8 / 7))
        change = _imagenet(self.size, self.rand_augment)
        seeds = mix(self.seed, keys.numpy(), "imagenet", view).tolist()
        # torchvision draws from torch's global generator: seed that one, on the CPU only, for each
        # image, and put it back as it was.
        before = torch.get_rng_state()
        try:
            changed = []
            for image, seed in zip(contents, seeds, strict=True):
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


def build_imagenet(seed: int, size: int | None, rand_augment: bool) -> ImageNet:
    """The views that torchvision makes.

    Raises:
        DataError: there is no size, or torchvision is missing.
    """
    if size is None:
        raise DataError(
            "the views random-resized-crop and rand-augment need a `size`, such as 224 (pixels)"
        )
    _torchvision()
    return ImageNet(seed, size, rand_augment)
