"""Input contracts: the pixels and size, the rate and seconds, or the bytes that a network reads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.data.image_views import without_far_ends
from mentee.errors import MenteeError
from mentee.types import constants

INTERPOLATIONS = ("bilinear", "bicubic")
"""How images are resized, by the names that timm and torchvision have."""


@dataclass(frozen=True)
class InputContract:
    """How images with values in [0, 1] have to be changed before a network reads them.

    Attributes:
        mean: what is subtracted, one number for each channel, or one for all.
        std: what the difference is divided by, as many numbers.
        size: height and width the network was trained with; None: any.
        resize: images are resized to this height and width first (the shorter side, antialiased;
            then the center is cut out); None: they stay as they come.
        interpolation: by which they are: a name of `INTERPOLATIONS`.

    Raises:
        MenteeError: where the lengths differ, a number of `std` or a size is not positive.

    Example:
        >>> InputContract((0.5,), (0.25,))
        InputContract(mean=(0.5,), std=(0.25,), size=None)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    resize: int | None = field(default=None, repr=False)
    interpolation: str = field(default="bilinear", repr=False)

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise MenteeError(
                "an input contract has a mean and a std for each channel, or one of each for all; "
                f"got {len(self.mean)} means and {len(self.std)} stds"
            )
        if not all(value > 0 for value in self.std):
            raise MenteeError(f"each std of an input contract is above 0, got {self.std}")
        if self.size is not None and min(self.size) < 1:
            raise MenteeError(f"height and width are at least 1, got {self.size}")
        if self.resize is not None and self.resize < 1:
            raise MenteeError(f"images are resized to 1 pixel at least, not {self.resize}")

    def prepare(self, x: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        """The inputs as the network reads them; channels are the second axis."""
        if self.resize is not None:
            x = resized(x, self.resize, self.interpolation)
        if len(self.mean) not in (1, x.shape[1]):
            raise MenteeError(
                f"the input contract is for {len(self.mean)} channels, the images have "
                f"{x.shape[1]}; give one mean and one std for each channel, or one of each for all"
            )
        other_axes = [1] * (x.ndim - 2)
        mean = constants(self.mean, x).reshape(-1, *other_axes)
        std = constants(self.std, x).reshape(-1, *other_axes)
        return (x - mean).div_(std)


@dataclass(frozen=True)
class AudioContract:
    """Which clips a network reads; it makes their spectrogram itself.

    Attributes:
        sample_rate: samples a second.
        seconds: length of every clip.

    Raises:
        MenteeError: where a number is not positive, or a clip has no sample.

    Example:
        >>> AudioContract(sample_rate=16000, seconds=1.5).samples
        24000
    """

    sample_rate: int
    seconds: float

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or not math.isfinite(self.seconds) or self.samples < 1:
            raise MenteeError(
                "an audio contract has a rate in samples a second and a length in seconds, both "
                f"above 0 and long enough for one sample; got {self.sample_rate} and {self.seconds}"
            )

    @property
    def samples(self) -> int:
        """Samples of a clip: the rate times the seconds, rounded."""
        return round(self.sample_rate * self.seconds)

    def prepare(self, x: Tensor) -> Tensor:
        """The clips as they are, checked."""
        if x.ndim != 2 or not x.is_floating_point():
            raise MenteeError(
                f"audio is [b, samples] of floats, mono; got {list(x.shape)} of {x.dtype}"
            )
        if abs(x.shape[1] - self.samples) > 1:
            raise MenteeError(
                f"the network reads clips of {self.seconds:g} s at {self.sample_rate} Hz, "
                f"{self.samples} samples; got {x.shape[1]}. Cut or pad them, and check their rate"
            )
        return x


@dataclass(frozen=True)
class TextContract:
    """Which texts a network reads.

    Attributes:
        max_bytes: bytes of a text at most; the rest is cut off.

    Raises:
        MenteeError: where the length is less than 1.

    Example:
        >>> TextContract(max_bytes=256)
        TextContract(max_bytes=256)
    """

    max_bytes: int

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise MenteeError(
                f"a text contract has a length of at least 1 byte, got {self.max_bytes}"
            )

    def prepare(self, x: Tensor) -> Tensor:
        """The texts as they are, checked."""
        if x.ndim != 2 or x.is_floating_point():
            raise MenteeError(f"text is [b, t] of bytes, uint8; got {list(x.shape)} of {x.dtype}")
        if x.shape[1] > self.max_bytes:
            raise MenteeError(
                f"the network reads texts of at most {self.max_bytes} bytes, got {x.shape[1]}; cut "
                "them, or give the contract a larger length"
            )
        return x


Contract: TypeAlias = InputContract | AudioContract | TextContract

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

CONTRACTS: dict[str, InputContract] = {
    "none": InputContract((0.0,), (1.0,)),
    "cifar10": InputContract((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), (32, 32)),
    "cifar100": InputContract((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761), (32, 32)),
    "tiny-imagenet": InputContract(IMAGENET_MEAN, IMAGENET_STD, (64, 64)),
    "imagenet": InputContract(IMAGENET_MEAN, IMAGENET_STD, (224, 224)),
}
"""The contracts of well-known data; `none` leaves the images as they are."""


def normalize(x: Tensor, contract: Contract) -> Tensor:
    r"""Images: subtract the mean of each channel and divide by its std, (x − mean) / std.

    The size changes only where the contract says `resize`; the memory format, the dtype and `x`
    itself never do. Audio and text are checked and returned as they are; their
    networks do the rest.

    Args:
        x: images with values in [0, 1], `[b, c, h, w]`; audio `[b, samples]`; text `[b, t]`; of
            other inputs `[b, c, ...]` the channels c are normalized as those of images are.
        contract: the numbers.

    Returns:
        The same shape, but for `resize`; images have about zero mean and unit variance on the data
        that the contract is of.

    Raises:
        MenteeError: where the contract is for another number of channels, another length (one
            sample more or less is rounding) or another kind of data.

    Example:
        >>> import torch
        >>> normalize(torch.full((1, 3, 1, 1), 0.5), InputContract((0.25,), (0.5,))).flatten()
        tensor([0.5000, 0.5000, 0.5000])
        >>> normalize(torch.zeros(2, 8000), AudioContract(sample_rate=16000, seconds=0.5)).shape
        torch.Size([2, 8000])
    """
    return contract.prepare(x)


def resized(
    x: Float[Tensor, "b c h w"], size: int, interpolation: str = "bilinear"
) -> Float[Tensor, "b c s s"]:
    """The shorter side to `size` (antialiased; within [0, 1] as before), then the center.

    Example:
        >>> import torch
        >>> resized(torch.rand(2, 3, 32, 48), 64).shape
        torch.Size([2, 3, 64, 64])
    """
    h, w = x.shape[2:]
    if (h, w) == (size, size):
        return x
    x = without_far_ends(x, size)
    h, w = x.shape[2:]
    tall, wide = (max(size, round(side * size / min(h, w))) for side in (h, w))
    large = F.interpolate(x, (tall, wide), mode=interpolation, antialias=True)
    if interpolation == "bicubic":  # which overshoots at edges
        large = large.clamp(0, 1)
    top, left = (tall - size) // 2, (wide - size) // 2
    return large[:, :, top : top + size, left : left + size]
