"""Layers and initialization that several networks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError, shown

MOST_CHANNELS = 65_536
"""Of a layer."""


FeatureLayers: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""The paths of the modules at which a network is read: `stem`, `stages`, `classifier`."""


def read_at(stem: str, stage: str, numbers: range, classifier: str = "fc") -> FeatureLayers:
    """The layers of a network whose stages are called alike.

    Example:
        >>> read_at("relu", "layer", range(1, 3))
        {'stem': 'relu', 'stages': ('layer1', 'layer2'), 'classifier': 'fc'}
    """
    stages = tuple(f"{stage}{number}" for number in numbers)
    return {"stem": stem, "stages": stages, "classifier": classifier}


def check_widths(network: str, widths: Any, count: int) -> tuple[int, ...]:
    """Channels of the parts of a network, one number for each.

    Raises:
        MenteeError: there are more or fewer, or one is no whole number from 1 to `MOST_CHANNELS`.

    Example:
        >>> check_widths("resnet8-cifar", [16, 32, 64], 3)
        (16, 32, 64)
    """
    numbers = tuple(widths) if isinstance(widths, (list, tuple)) else ()
    if len(numbers) != count or any(type(width) is not int for width in numbers):
        raise MenteeError(f"{network} has {count} widths, whole numbers; not {shown(widths)}")
    if not all(1 <= width <= MOST_CHANNELS for width in numbers):
        raise MenteeError(
            f"the widths of {network} are from 1 to {MOST_CHANNELS:,}, not {shown(widths)}"
        )
    return numbers


def conv3x3(inputs: int, outputs: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size (divided by `stride`) and has no bias."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, groups=groups, bias=False)


def conv1x1(inputs: int, outputs: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A 1×1 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, stride, groups=groups, bias=False)


def initialize(network: nn.Module, *, classifier_std: float | None = None) -> None:
    """Draw the weights of every convolution from N(0, 2 / (kernel area · output channels)).

    That is Kaiming's normal initialization with `fan_out`; biases of convolutions become zero.
    Linear layers keep PyTorch's initialization, or are drawn from N(0, classifier_std²) with zero
    bias.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and classifier_std is not None:
            nn.init.normal_(module.weight, std=classifier_std)
            nn.init.zeros_(module.bias)


def global_average(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
    """The mean over space, for any height and width."""
    return x.mean((2, 3))


def channel_shuffle(x: Float[Tensor, "b c h w"], groups: int) -> Float[Tensor, "b c h w"]:
    """Interleave the channels of equal groups: out[i · groups + g] = x[g · c / groups + i].

    One copy, in the memory format of the input: `torch.nn.functional.channel_shuffle` would turn
    channels_last into contiguous, and every convolution after it would turn it back.

    Example:
        >>> channel_shuffle(torch.arange(6.0).reshape(1, 6, 1, 1), 2).flatten().tolist()
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    """
    b, c, h, w = x.shape
    if x.is_contiguous(memory_format=torch.channels_last):
        last = x.permute(0, 2, 3, 1).reshape(b, h, w, groups, c // groups)
        return last.transpose(3, 4).reshape(b, h, w, c).permute(0, 3, 1, 2)
    return x.reshape(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)
