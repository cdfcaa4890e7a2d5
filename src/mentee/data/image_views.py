"""Views of images: crop, resize, and the step to floating point, on whole batches of pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from mentee.data.counter_rng import Int64Array, below, mix
from mentee.data.payload import ImageTensors, ViewOptions
from mentee.errors import DataError
from mentee.parallel import gather_objects
from mentee.types import CLEAN, Batch

LARGEST = 1 << 24
"""Pixels of a resized image before its center is cut out; what would have more is cut before."""


def crop(
    pixels: UInt8[Tensor, "b h w c"],
    down: Int64Array,
    right: Int64Array,
    flipped: npt.NDArray[np.bool_],
    *,
    pad: int,
) -> UInt8[Tensor, "b h w c"]:
    """Cut a window of the old size out of each image surrounded by `pad` zeros.

    Window i begins at row `down[i]`, column `right[i]`, both in [0, 2·pad], mirrored if `flipped`.
    """
    b, h, w, c = pixels.shape
    padded = np.zeros((b, h + 2 * pad, w + 2 * pad, c), np.uint8)
    padded[:, pad : pad + h, pad : pad + w] = pixels.numpy()
    # lines[i, y, x] is one line of window (y, x), w·c bytes in one piece, so that the whole batch
    # is one indexed copy of lines. Measured on one core, 32x32x3, batches of 64: 137,000 images a
    # second; a Python loop 113,000; indexing single pixels 54,000 (NumPy) to 134,000 (torch).
    lines = np.lib.stride_tricks.as_strided(
        padded,
        (b, h + 2 * pad, 2 * pad + 1, w * c),
        (*padded.strides[:3], 1),
    )
    rows = down[:, None] + np.arange(h)
    windows = lines[np.arange(b)[:, None], rows, right[:, None]].reshape(b, h, w, c)
    windows[flipped] = windows[flipped, :, ::-1]
    return torch.from_numpy(windows)


def to_float(pixels: UInt8[Tensor, "b h w c"]) -> Float[Tensor, "b c h w"]:
    """0..255 → [0, 1], channels-last memory as it is: nothing is moved."""
    return pixels.to(torch.float32).div_(255).permute(0, 3, 1, 2)


def one_size(
    images: ImageTensors, size: int | None, how: str = "bilinear", *, margin: float = 1.0
) -> UInt8[Tensor, "b h w c"]:
    """Images of any size → images of one size, height and width; None: they have one already.

    Args:
        images: uint8 `[b, h, w, c]`, or a list of `[h, w, c]`.
        size: height and width wanted; None: they have one size already.
        how: the interpolation, `bilinear` or `bicubic`.
        margin: resize the shorter side to `margin · size`, then cut out the center.

    Raises:
        DataError: they have several sizes and `size` is None.
    """
    if isinstance(images, Tensor) and (size is None or images.shape[1:3] == (size, size)):
        return images
    if size is not None:
        return torch.stack([_resize(image, size, margin, how) for image in images])
    if len({image.shape for image in images}) > 1:
        a, b = sorted({(image.shape[0], image.shape[1]) for image in images})[:2]
        raise DataError(
            f"the images have several sizes, such as {a[0]}×{a[1]} and {b[0]}×{b[1]} "
            "(height × width); choose a `size` that all are resized to"
        )
    return torch.stack(list(images))


def _resize(image: Tensor, size: int, margin: float, how: str) -> Tensor:
    if image.shape[:2] == (size, size):
        return image
    shorter = round(size * margin)
    chw = without_far_ends(image.permute(2, 0, 1)[None], shorter)
    h, w = chw.shape[2:]
    scale = shorter / min(h, w)
    tall, wide = max(size, round(h * scale)), max(size, round(w * scale))
    large = F.interpolate(chw, (tall, wide), mode=how, antialias=True)[0]
    top, left = (tall - size) // 2, (wide - size) // 2
    return large[:, top : top + size, left : left + size].permute(1, 2, 0).contiguous()


def without_far_ends(x: Shaped[Tensor, "b c h w"], shorter: int) -> Shaped[Tensor, "b c _ _"]:
    """Very thin images without what is far from their centers, which would be cut off anyway.

    Others are returned as they are: those that have at most `LARGEST` pixels once their shorter
    side is resized to `shorter`.
    """
    h, w = x.shape[2:]
    least = min(h, w)
    if shorter * shorter * max(h, w) <= LARGEST * least:
        return x
    for axis, side in ((2, h), (3, w)):
        kept = min(side, 4 * least + side % 2)
        x = x.narrow(axis, (side - kept) // 2, kept)
    return x


@dataclass(frozen=True)
class Plain:
    """Every view is the image itself.

    Attributes:
        size: resize the shorter side to it and cut out the center; None: leave as it is.
        how: the interpolation, `bilinear` or `bicubic`.
    """

    size: int | None = None
    how: str = "bilinear"
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The images, whatever the view."""
        return to_float(one_size(contents, self.size, self.how))


@dataclass(frozen=True)
class Crop:
    """Surround with `pad` zeros, cut out the old size anywhere, `mirror` half of them.

    Attributes:
        seed: another seed, other views.
        pad: zeros on each side, in pixels.
        mirror: flip left and right with probability 1/2.
        size: as for `Plain`, before anything else.
        how: as for `Plain`.
    """

    seed: int
    pad: int = 4
    mirror: bool = True
    size: int | None = None
    how: str = "bilinear"
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The crop of each image that this view has."""
        pixels = one_size(contents, self.size, self.how)
        if view == CLEAN:
            return to_float(pixels)
        if self.pad > min(pixels.shape[1:3]):
            raise DataError(
                f"pad {self.pad} for images of {pixels.shape[1]}×{pixels.shape[2]} pixels, which "
                "would be moved out of sight; expected a few, such as 4 for 32×32"
            )
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
        margin: of the clean view, the shorter side divided by `size`.
        how: as for `Plain`.
    """

    seed: int
    size: int
    rand_augment: bool = False
    how: str = "bilinear"
    fast: ClassVar[bool] = False
    margin: ClassVar[float] = 8 / 7

    def __call__(
        self, contents: ImageTensors, keys: Int64[Tensor, " b"], view: int
    ) -> Float[Tensor, "b c h w"]:
        """The random part of each image that this view has."""
        if view == CLEAN:
            return to_float(one_size(contents, self.size, self.how, margin=self.margin))
        change = _imagenet(self.size, self.rand_augment, self.how)
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
def _imagenet(size: int, rand_augment: bool, how: str) -> Callable[[Tensor], Tensor]:
    v2 = _torchvision()
    mode = v2.InterpolationMode(how)
    crop = v2.RandomResizedCrop(size, interpolation=mode, antialias=True)
    steps = [crop, v2.RandomHorizontalFlip()]
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


def build_plain(options: ViewOptions) -> Plain:
    """`none`."""
    return Plain(options.size, options.interpolation)


def build_crop(options: ViewOptions, *, mirror: bool) -> Crop:
    """`crop` and `crop-flip`."""
    return Crop(options.seed, options.pad, mirror, options.size, options.interpolation)


def build_imagenet(options: ViewOptions, *, rand_augment: bool) -> ImageNet:
    """`random-resized-crop` and `rand-augment`.

    Raises:
        DataError: there is no size, or torchvision is missing.
    """
    if options.size is None:
        raise DataError(
            "the views random-resized-crop and rand-augment need a `size`, such as 224 (pixels)"
        )
    _torchvision()
    return ImageNet(options.seed, options.size, rand_augment, options.interpolation)


IMAGE_VIEWS: dict[str, Callable[[ViewOptions], Plain | Crop | ImageNet]] = {
    "none": build_plain,
    "crop": partial(build_crop, mirror=False),
    "crop-flip": partial(build_crop, mirror=True),
    "random-resized-crop": partial(build_imagenet, rand_augment=False),
    "rand-augment": partial(build_imagenet, rand_augment=True),
}


def channel_statistics(
    batches: Callable[[], Iterable[Batch]], options: ViewOptions
) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel, the second axis, over all processes' batches.

    Returns:
        `mean` and `std`, each of as many numbers as there are channels, rounded to 4 places.
    """
    sums: list[tuple[Any, Any, int]] = []
    for batch in batches():
        x = batch.inputs.double()
        others = [axis for axis in range(x.ndim) if axis != 1]
        sums.append((x.sum(others), x.square().sum(others), x[:, 0].numel()))
    gathered = [each for share in gather_objects(sums) for each in share]
    total, squares, count = (sum(part) for part in zip(*gathered, strict=True))
    mean = total / count
    std = (squares / count - mean**2).clamp(min=1e-6).sqrt()
    return {
        "mean": [round(value, 4) for value in mean.tolist()],
        "std": [round(value, 4) for value in std.tolist()],
    }


def black_images(options: ViewOptions, channels: int) -> list[Tensor]:
    """Two black images of the size chosen, else 32×32."""
    size = options.size or 32
    return list(torch.zeros(2, size, size, channels, dtype=torch.uint8))
