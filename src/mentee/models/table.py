"""The table of Mentee's own networks, and the modality that a network reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from mentee.data import MODALITIES
from mentee.errors import MenteeError, suggest
from mentee.models.audio import MobileFCN, SmallFCN
from mentee.models.cp_resnet import CPResNet
from mentee.models.mobilenet import MobileNetV2
from mentee.models.resnet import CifarResNet, ResNet, WideResNet
from mentee.models.shufflenet import ShuffleNetV1, ShuffleNetV2
from mentee.models.text import CharCNN, HashedBag
from mentee.models.vgg import VGG

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet8-cifar": partial(CifarResNet, 8),
    "resnet14-cifar": partial(CifarResNet, 14),
    "resnet20-cifar": partial(CifarResNet, 20),
    "resnet32-cifar": partial(CifarResNet, 32),
    "resnet44-cifar": partial(CifarResNet, 44),
    "resnet56-cifar": partial(CifarResNet, 56),
    "resnet110-cifar": partial(CifarResNet, 110),
    "resnet8x4-cifar": partial(CifarResNet, 8, widths=(64, 128, 256), stem=32),
    "resnet32x4-cifar": partial(CifarResNet, 32, widths=(64, 128, 256), stem=32),
    "resnet10-64": partial(ResNet, 10),
    "resnet18-64": partial(ResNet, 18),
    "resnet34-64": partial(ResNet, 34),
    "resnet50-64": partial(ResNet, 50),
    "wrn-16-1": partial(WideResNet, 16, 1),
    "wrn-16-2": partial(WideResNet, 16, 2),
    "wrn-40-1": partial(WideResNet, 40, 1),
    "wrn-40-2": partial(WideResNet, 40, 2),
    "vgg8": partial(VGG, 8),
    "vgg11": partial(VGG, 11),
    "vgg13": partial(VGG, 13),
    "vgg16": partial(VGG, 16),
    "vgg19": partial(VGG, 19),
    "mobilenetv2-cifar": MobileNetV2,
    "shufflenetv1-cifar": ShuffleNetV1,
    "shufflenetv2-cifar": ShuffleNetV2,
    "small-fcn": SmallFCN,
    "mobile-fcn": MobileFCN,
    "cp-resnet": CPResNet,
    "hashed-bag": HashedBag,
    "hashed-bag-small": partial(HashedBag, buckets=5_800),
    "char-cnn": CharCNN,
    "char-cnn-small": partial(CharCNN, width=16, widths=(48, 48, 64, 96)),
}
"""Mentee's own networks. Call one with `classes`; those of images with `channels` where not 3,
those of audio with `sample_rate` where not 16000."""


def kind_of(network: str | nn.Module | Callable[..., nn.Module]) -> str:
    """The modality of a network's inputs: `image`, `audio` or `text`.

    A module, class or function says it by an attribute `kind`; without one, as of the zoos'
    networks, it is `image`.

    Raises:
        MenteeError: where the attribute is none of the three, or the name is unknown.

    Example:
        >>> kind_of("hashed-bag"), kind_of("timm:resnet18"), kind_of(nn.Linear(2, 2))
        ('text', 'image', 'image')
    """
    if isinstance(network, str) and network not in NETWORKS and ":" not in network:
        raise MenteeError(f"there is no network {network!r}; {nearest(network)}")
    made: object = NETWORKS.get(network) if isinstance(network, str) else network
    made = made.func if isinstance(made, partial) else made
    kind = getattr(made, "kind", "image")
    if kind not in MODALITIES:
        raise MenteeError(
            f"the kind of {getattr(made, '__name__', type(made).__name__)} is one of "
            f"{', '.join(MODALITIES)}, not {kind!r}"
        )
    return str(kind)


def nearest(name: str) -> str:
    """The networks that a shortened name begins, as `resnet20` does, else the close ones."""
    name = name.lower()
    longer = [known for known in NETWORKS if known.startswith(name)]
    if 1 <= len(longer) <= 3:
        return f"did you mean {' or '.join(map(repr, longer))}?"
    return suggest(name, NETWORKS)
