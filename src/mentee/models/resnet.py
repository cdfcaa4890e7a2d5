"""Residual networks for small images: three stages for CIFAR, four for images of 64 pixels.

Parameter names are torchvision's: `conv1, bn1, layer1.0.conv1, …, layer1.0.downsample.0, fc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.models.layers import check_widths, conv1x1, conv3x3, global_average, initialize, read_at

BLOCKS: dict[int, tuple[int, int, int, int]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
}
"""Depth of a four-stage network to the number of blocks in each stage."""
MOST_STRIDE = 8
"""Of the first convolution."""


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """A 1×1 convolution and batch norm where the block changes the shape, else None."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(conv1x1(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: relu(f(x) + x).

    The last ReLU does not work in place, so that its input, the block's pre-activation, can be
    read by a hook; the sum does, so that this costs no memory.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, width, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        activated: Tensor = self.relu2(out)
        return activated


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut; gives four times `width` channels."""

    expansion: ClassVar[int] = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = conv1x1(inputs, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width, stride=stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = conv1x1(width, outputs)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        activated: Tensor = self.relu3(out)
        return activated


Block: TypeAlias = type[BasicBlock] | type[Bottleneck]


def stage(block: Block, inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` blocks of one width; the first of them has the stride."""
    first = block(inputs, width, stride)
    rest = [block(width * block.expansion, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class CifarResNet(nn.Module):
    """The three-stage residual network for 32×32 images: ResNet-20, -56, 8x4, 32x4 and so on.

    Any image of at least 8×8 pixels will do. Give small `widths` for a thin network.

    Args:
        depth: 6 n + 2 layers, for n blocks a stage.
        classes: outputs of the classifier.
        channels: channels of the image.
        widths: channels of the three stages; the "x4" networks have (64, 128, 256).
        stem: channels of the first convolution; None: as the first stage ("x4": 32).
        stem_stride: s of the first convolution, of 2 s + 1 pixels a side, from 1 to 8: images of
            96×96 pixels cost with 3 what those of 32×32 do with 1.

    Raises:
        MenteeError: where the depth is not 6 n + 2, or a width or the stride is none.

    Example:
        >>> import torch
        >>> network = CifarResNet(8, classes=10, channels=1, widths=(4, 8, 16))
        >>> network(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 10])

    Paper: arXiv:1512.03385, §4.2, with a 1×1 convolution where the shortcut changes shape.
    """

    feature_layers = read_at("relu", "layer", range(1, 4))

    def __init__(
        self,
        depth: int,
        *,
        classes: int,
        channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        stem: int | None = None,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise MenteeError(
                f"a CIFAR ResNet has 6 n + 2 layers (8, 14, 20, 32, 44, 56, 110), not {depth}"
            )
        widths = check_widths("a CIFAR ResNet", widths, 3)
        (stem,) = check_widths("its stem", [widths[0] if stem is None else stem], 1)
        if stem_stride not in range(1, MOST_STRIDE + 1):
            raise MenteeError(
                f"stem_stride is {stem_stride!r}, expected a whole number from 1 to {MOST_STRIDE}"
            )
        size = 2 * stem_stride + 1
        self.conv1 = nn.Conv2d(
            channels, stem, size, stride=stem_stride, padding=stem_stride, bias=False
        )
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = stage(BasicBlock, stem, widths[0], blocks, 1)
        self.layer2 = stage(BasicBlock, widths[0], widths[1], blocks, 2)
        self.layer3 = stage(BasicBlock, widths[1], widths[2], blocks, 2)
        self.fc = nn.Linear(widths[2], classes)
        initialize(self)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(global_average(x))
        return logits


class ResNet(nn.Module):
    """The four-stage residual network with a 3×3 stem of stride 1, for images of 32 or 64 pixels.

    Args:
        depth: 10, 18, 34 or 50.
        classes: outputs of the classifier.
        channels: channels of the image.
        widths: channels of the four stages; in the 50-layer network their outputs have four times
            as many.

    Raises:
        MenteeError: for another depth, or widths that cannot be.

    Example:
        >>> import torch
        >>> ResNet(10, classes=10)(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 10])

    Paper: arXiv:1512.03385, table 1, without the strides and the pooling of the first layers.
    """

    feature_layers = read_at("relu", "layer", range(1, 5))

    def __init__(
        self,
        depth: int,
        *,
        classes: int,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise MenteeError(f"a ResNet has {', '.join(map(str, BLOCKS))} layers, not {depth}")
        first, second, third, fourth = check_widths("a ResNet", widths, 4)
        block: Block = Bottleneck if depth >= 50 else BasicBlock
        blocks, wider = BLOCKS[depth], block.expansion
        self.conv1 = conv3x3(channels, first)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = stage(block, first, first, blocks[0], 1)
        self.layer2 = stage(block, first * wider, second, blocks[1], 2)
        self.layer3 = stage(block, second * wider, third, blocks[2], 2)
        self.layer4 = stage(block, third * wider, fourth, blocks[3], 2)
        self.fc = nn.Linear(fourth * wider, classes)
        initialize(self)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(global_average(x))
        return logits


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

    feature_layers = read_at("conv1", "layer", range(1, 4))

    def __init__(self, depth: int, factor: int, *, classes: int, channels: int = 3) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise MenteeError(f"a wide ResNet has 6 n + 4 layers (16, 22, 28, 40), not {depth}")
        if factor < 1:
            raise MenteeError(f"the factor of a wide ResNet is at least 1, not {factor}")
        widths = (16 * factor, 32 * factor, 64 * factor)
        self.conv1 = conv3x3(channels, 16)
        self.layer1 = _wide_stage(16, widths[0], blocks, 1)
        self.layer2 = _wide_stage(widths[0], widths[1], blocks, 2)
        self.layer3 = _wide_stage(widths[1], widths[2], blocks, 2)
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


def _wide_stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = PreActivationBlock(inputs, outputs, stride)
    rest = [PreActivationBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
