"""Wide residual networks for 32×32 images: WRN-16-1, 16-2, 40-1, 40-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.models.layers import conv1x1, conv3x3, global_average, initialize


class PreActivationBlock(nn.Module):
    """Batch norm and ReLU before each of two 3×3 convolutions, and a shortcut: f(x) + x.

    Where the width changes, the shortcut is a 1×1 convolution of the activated input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = conv3x3(inputs, outputs, stride=stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(outputs, outputs)
        self.downsample = None if inputs == outputs else conv1x1(inputs, outputs, stride=stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        active = self.relu1(self.bn1(x))
        out: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        out += x if self.downsample is None else self.downsample(active)
        return out


class WideResNet(nn.Module):
    """The three-stage network of pre-activation blocks, `factor` times as wide as ResNet-20's.

    A stage's output is a sum that the next batch norm and ReLU have yet to see; the stem is the
    plain first convolution. The last batch norm and ReLU stand between `layer3` and the pooling.

    Args:
        depth: 6 n + 4 layers, for n blocks a stage.
        factor: widths are 16, 32 and 64 times this.
        classes: outputs of the classifier.
        channels: channels of the image.

    Raises:
        MenteeError: where the depth is not 6 n + 4, or the factor is less than one.

    Example:
        >>> import torch
        >>> WideResNet(16, 1, classes=10)(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 10])

    Paper: arXiv:1605.07146.
    """

    places: ClassVar[Mapping[str, str | tuple[str, ...]]] = {
        "stem": "conv1",
        "stages": ("layer1", "layer2", "layer3"),
        "classifier": "fc",
    }

    def __init__(self, depth: int, factor: int, *, classes: int, channels: int = 3) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise MenteeError(f"a wide ResNet has 6 n + 4 layers (16, 22, 28, 40), not {depth}")
        if factor < 1:
            raise MenteeError(f"the factor of a wide ResNet is at least 1, not {factor}")
        widths = (16 * factor, 32 * factor, 64 * factor)
        self.conv1 = conv3x3(channels, 16)
        self.layer1 = _stage(16, widths[0], blocks, 1)
        self.layer2 = _stage(widths[0], widths[1], blocks, 2)
        self.layer3 = _stage(widths[1], widths[2], blocks, 2)
        self.bn1 = nn.BatchNorm2d(widths[2])
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(widths[2], classes)
        initialize(self)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of images."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = self.relu(self.bn1(x))
        logits: Tensor = self.fc(global_average(x))
        return logits


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = PreActivationBlock(inputs, outputs, stride)
    rest = [PreActivationBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
