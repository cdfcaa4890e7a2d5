"""What a network was trained to read: the normalisation of each channel, and the size."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError


@dataclass(frozen=True)
class InputContract:
    """How images with values in [0, 1] have to be changed before a network reads them.

    Attributes:
        mean: what is subtracted, one number for each channel, or one for all.
        std: what the difference is divided by, as many numbers.
        size: height and width the network was trained with; None: any.

    Raises:
        MenteeError: where the lengths differ, a number of `std` or a size is not positive.

    Example:
        >>> InputContract((0.5,), (0.25,))
        InputContract(mean=(0.5,), std=(0.25,), size=None)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None

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


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

CONTRACTS: dict[str, InputContract] = {
    "none": InputContract((0.0,), (1.0,)),
    "cifar10": InputContract((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), (32, 32)),
    "cifar100": InputContract((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761), (32, 32)),
    "tiny-imagenet": InputContract(IMAGENET_MEAN, IMAGENET_STD, (64, 64)),
    "imagenet": InputContract(IMAGENET_MEAN, IMAGENET_STD, (224, 224)),
}
"""The contracts of well-known data; `none` leaves the images as they are."""


def normalise(x: Float[Tensor, "b c h w"], contract: InputContract) -> Float[Tensor, "b c h w"]:
    r"""Subtract the mean of each channel and divide by its std: (x − mean) / std.

    The size is not changed, nor the memory format, the dtype or `x` itself.

    Args:
        x: images with values in [0, 1], `[b, c, h, w]`.
        contract: the numbers.

    Returns:
        `[b, c, h, w]`, about zero mean and unit variance on the data the contract is of.

    Raises:
        MenteeError: where the contract is for another number of channels.

    Example:
        >>> import torch
        >>> normalise(torch.full((1, 3, 1, 1), 0.5), InputContract((0.25,), (0.5,))).flatten()
        tensor([0.5000, 0.5000, 0.5000])
    """
    if len(contract.mean) not in (1, x.shape[1]):
        raise MenteeError(
            f"the input contract is for {len(contract.mean)} channels, the images have "
            f"{x.shape[1]}; give one mean and one std for each channel, or one of each for all"
        )
    mean = x.new_tensor(contract.mean).reshape(-1, 1, 1)
    std = x.new_tensor(contract.std).reshape(-1, 1, 1)
    return (x - mean).div_(std)
