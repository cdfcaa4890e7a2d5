"""VGG networks with batch norm and one linear layer, for images of 32 or 64 pixels."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from mentee.errors import MenteeError
from mentee.models.layers import global_average, initialize, read_at

CONVOLUTIONS: dict[int, tuple[int, int, int, int, int]] = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Depth to the number of convolutions in the stem and in each of the four stages."""

WIDTHS = (64, 128, 256, 512, 512)
LARGE = 64
"""From this height on, the image is halved a fourth time, before the last stage."""


class Convolution(nn.Module):
    """A 3×3 convolution with bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Apply the three."""
        out: Tensor = self.relu(self.bn(self.conv(x)))
        return out


class VGG(nn.Module):
    """Five groups of 3×3 convolutions with max pooling between them: VGG-8, 11, 13, 16, 19.

    The stem and the stages are read before the pooling that follows them.

    Args:
        depth: 8, 11, 13, 16 or 19; counts three linear layers, as the paper does, of which only
            the last is here.
        classes: outputs of the classifier.
        channels: channels of the image.

    Raises:
        MenteeError: for another depth.

    Example:
        >>> import torch
        >>> VGG(8, classes=10)(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 10])

    Paper: arXiv:1409.1556, table 1; the small form is that of CRD, arXiv:1910.10699.
    """

    feature_layers = read_at("layer0", "layer", range(1, 5))

    def __init__(self, depth: int, *, classes: int, channels: int = 3) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            known = ", ".join(map(str, CONVOLUTIONS))
            raise MenteeError(f"a VGG network has {known} layers, not {depth}")
        counts = CONVOLUTIONS[depth]
        self.layer0 = _group(channels, WIDTHS[0], counts[0])
        self.layer1 = _group(WIDTHS[0], WIDTHS[1], counts[1])
        self.layer2 = _group(WIDTHS[1], WIDTHS[2], counts[2])
        self.layer3 = _group(WIDTHS[2], WIDTHS[3], counts[3])
        self.layer4 = _group(WIDTHS[3], WIDTHS[4], counts[4])
        self.fc = nn.Linear(WIDTHS[4], classes)
        initialize(self, classifier_std=0.01)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of images."""
        large = x.shape[2] >= LARGE
        x = max_pool2d(self.layer0(x), 2)
        x = max_pool2d(self.layer1(x), 2)
        x = max_pool2d(self.layer2(x), 2)
        x = self.layer3(x)
        x = self.layer4(max_pool2d(x, 2) if large else x)
        logits: Tensor = self.fc(global_average(x))
        return logits


def _group(inputs: int, outputs: int, count: int) -> nn.Sequential:
    rest = [Convolution(outputs, outputs) for _ in range(count - 1)]
    return nn.Sequential(Convolution(inputs, outputs), *rest)
