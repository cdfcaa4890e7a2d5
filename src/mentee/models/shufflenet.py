"""ShuffleNet V1 and V2 in the forms that CRD's tables use for 32×32 images.

As there, all weights keep PyTorch's initialization.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from mentee.errors import MenteeError
from mentee.models.layers import (
    channel_shuffle,
    check_widths,
    conv1x1,
    conv3x3,
    global_average,
    read_at,
)

STEM = 24
"""Channels of the first convolution, a 1×1 one of stride 1 for small images."""


class GroupedBlock(nn.Module):
    """V1: grouped 1×1, shuffle, 3×3 per channel, grouped 1×1.

    Where the size is halved, the pooled input is appended instead of added.
    """

    def __init__(self, inputs: int, outputs: int, *, groups: int, halve: bool) -> None:
        super().__init__()
        added = outputs - inputs if halve else outputs
        inner = added // 4
        # The stem's 24 channels are too few to be cut into groups.
        self.groups = 1 if inputs == STEM else groups
        self.halve = halve
        self.conv1 = conv1x1(inputs, inner, groups=self.groups)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(inner, inner, stride=2 if halve else 1, groups=inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = conv1x1(inner, added, groups=groups)
        self.bn3 = nn.BatchNorm2d(added)
        self.relu3 = nn.ReLU()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        out = channel_shuffle(self.relu1(self.bn1(self.conv1(x))), self.groups)
        # The second ReLU is a departure from the paper that CRD's tables were made with.
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.halve:
            out = torch.cat([out, avg_pool2d(x, 3, stride=2, padding=1)], 1)
        else:
            out += x
        activated: Tensor = self.relu3(out)
        return activated


class ShuffleNetV1(nn.Module):
    """Grouped 1×1 convolutions with shuffled channels, in three stages of 4, 8 and 4 blocks.

    Args:
        classes: outputs of the classifier.
        channels: channels of the image.
        widths: channels of the stages.
        groups: groups of the 1×1 convolutions.

    Raises:
        MenteeError: where a width is no width, or a block's inner channels cannot be cut into so
            many groups.

    Example:
        >>> import torch
        >>> ShuffleNetV1(classes=10)(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 10])

    Paper: arXiv:1707.01083; the small form is that of CRD, arXiv:1910.10699.
    """

    feature_layers = read_at("relu", "layer", range(1, 4))

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        widths: Sequence[int] = (240, 480, 960),
        groups: int = 3,
    ) -> None:
        super().__init__()
        widths = check_widths("ShuffleNetV1", widths, 3)
        _check_groups(widths, groups)
        self.conv1 = conv1x1(channels, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _grouped_stage(STEM, widths[0], 4, groups)
        self.layer2 = _grouped_stage(widths[0], widths[1], 8, groups)
        self.layer3 = _grouped_stage(widths[1], widths[2], 4, groups)
        self.fc = nn.Linear(widths[2], classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(global_average(x))
        return logits


def _check_groups(widths: Sequence[int], groups: int) -> None:
    added = [out - into for into, out in zip((STEM, *widths), widths, strict=False)]
    if groups < 1 or any(c < 1 or c % (4 * groups) for c in (*added, *widths)):
        raise MenteeError(
            f"ShuffleNetV1 cannot cut widths {widths} into {groups} groups: each width, and its "
            f"increase (from {STEM} on), must be a multiple of {4 * groups}"
        )


def _grouped_stage(inputs: int, outputs: int, blocks: int, groups: int) -> nn.Sequential:
    first = GroupedBlock(inputs, outputs, groups=groups, halve=True)
    rest = [GroupedBlock(outputs, outputs, groups=groups, halve=False) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class SplitBlock(nn.Module):
    """V2: one half of the channels passes through, the other is filtered; then a shuffle."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = conv1x1(half, half)
        self.bn1 = nn.BatchNorm2d(half)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(half, half, groups=half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(half, half)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Apply the block."""
        unchanged, changed = x.chunk(2, dim=1)
        out = self.relu1(self.bn1(self.conv1(changed)))
        out = self.bn2(self.conv2(out))
        out = self.relu3(self.bn3(self.conv3(out)))
        return channel_shuffle(torch.cat([unchanged, out], 1), 2)


class HalvingBlock(nn.Module):
    """V2: both branches see all channels and halve the size; then a shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left = nn.Sequential(
            conv3x3(inputs, inputs, stride=2, groups=inputs),
            nn.BatchNorm2d(inputs),
            conv1x1(inputs, half),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )
        self.right = nn.Sequential(
            conv1x1(inputs, half),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            conv3x3(half, half, stride=2, groups=half),
            nn.BatchNorm2d(half),
            conv1x1(half, half),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        return channel_shuffle(torch.cat([self.left(x), self.right(x)], 1), 2)


class ShuffleNetV2(nn.Module):
    """Split, filter one half, shuffle: three stages of 4, 8 and 4 blocks.

    Args:
        classes: outputs of the classifier.
        channels: channels of the image.
        widths: channels of the stages and of the embedding; the stages' are even.

    Raises:
        MenteeError: where a width is no width, or a stage's is odd.

    Example:
        >>> import torch
        >>> ShuffleNetV2(classes=10)(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 10])

    Paper: arXiv:1807.11164; the small form is that of CRD, arXiv:1910.10699.
    """

    feature_layers = read_at("relu", "layer", range(1, 4))

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        widths: Sequence[int] = (116, 232, 464, 1024),
    ) -> None:
        super().__init__()
        widths = check_widths("ShuffleNetV2", widths, 4)
        if any(width % 2 for width in widths[:3]):
            raise MenteeError(f"ShuffleNetV2's stages have even widths, not {widths[:3]}")
        self.conv1 = conv1x1(channels, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _split_stage(STEM, widths[0], 4)
        self.layer2 = _split_stage(widths[0], widths[1], 8)
        self.layer3 = _split_stage(widths[1], widths[2], 4)
        self.conv2 = conv1x1(widths[2], widths[3])
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.relu2 = nn.ReLU(inplace=True)
        self.fc = nn.Linear(widths[3], classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        logits: Tensor = self.fc(global_average(x))
        return logits


def _split_stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    rest = [SplitBlock(outputs) for _ in range(blocks - 1)]
    return nn.Sequential(HalvingBlock(inputs, outputs), *rest)
