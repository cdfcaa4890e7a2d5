"""MobileNetV2 in the form that CRD's tables use for 32×32 images."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.models.layers import conv1x1, conv3x3, global_average, initialize, read_at

EMBEDDING = 1280
"""Channels that enter the classifier, whatever the width of the network."""


class InvertedResidual(nn.Module):
    """Expand by a 1×1 convolution, filter each channel by a 3×3, shrink by a 1×1, add the input.

    There is no activation after the last batch norm, and a shortcut only where shapes agree.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.conv1 = conv1x1(inputs, inner)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(inner, inner, stride=stride, groups=inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = conv1x1(inner, outputs)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        inner = self.relu1(self.bn1(self.conv1(x)))
        inner = self.relu2(self.bn2(self.conv2(inner)))
        out: Tensor = self.bn3(self.conv3(inner))
        if self.residual:
            out += x
        return out


class MobileNetV2(nn.Module):
    """Inverted residuals in four stages; a stem of stride 2 and ReLU without the upper limit of 6.

    Stages end where CRD's code reads the network: after 24, 32, 96 and 320 channels (times
    `width`). At 32×32 pixels they are 16, 8, 4 and 2 pixels high. Their outputs are not activated.

    Args:
        classes: outputs of the classifier.
        channels: channels of the image.
        width: multiplies the channels of stem and stages, rounded down.
        expansion: how many times wider a block is inside (the paper's t), but for the first one.

    Raises:
        MenteeError: where the width leaves a layer without channels, or expansion is less than one.

    Example:
        >>> import torch
        >>> MobileNetV2(classes=10)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Paper: arXiv:1801.04381, table 2; the small form is that of CRD, arXiv:1910.10699.
    """

    feature_layers = read_at("relu", "layer", range(1, 5))

    def __init__(
        self, *, classes: int, channels: int = 3, width: float = 0.5, expansion: int = 6
    ) -> None:
        super().__init__()
        if int(16 * width) < 1 or expansion < 1:
            raise MenteeError(
                "MobileNetV2 needs a width of at least 1/16 and an expansion of at least 1, "
                f"not width={width}, expansion={expansion}"
            )
        stem, *widths = (int(c * width) for c in (32, 16, 24, 32, 64, 96, 160, 320))
        self.conv1 = conv3x3(channels, stem, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        t, c = expansion, widths
        self.layer1 = nn.Sequential(*_blocks(stem, c[0], 1, 1, 1), *_blocks(c[0], c[1], 2, 1, t))
        self.layer2 = nn.Sequential(*_blocks(c[1], c[2], 3, 2, t))
        self.layer3 = nn.Sequential(*_blocks(c[2], c[3], 4, 2, t), *_blocks(c[3], c[4], 3, 1, t))
        self.layer4 = nn.Sequential(*_blocks(c[4], c[5], 3, 2, t), *_blocks(c[5], c[6], 1, 1, t))
        self.conv2 = conv1x1(c[6], EMBEDDING)
        self.bn2 = nn.BatchNorm2d(EMBEDDING)
        self.relu2 = nn.ReLU(inplace=True)
        self.fc = nn.Linear(EMBEDDING, classes)
        initialize(self, classifier_std=0.01)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.relu2(self.bn2(self.conv2(x)))
        logits: Tensor = self.fc(global_average(x))
        return logits


def _blocks(inputs: int, outputs: int, count: int, stride: int, t: int) -> list[nn.Module]:
    first = InvertedResidual(inputs, outputs, stride, t)
    return [first, *(InvertedResidual(outputs, outputs, 1, t) for _ in range(count - 1))]
