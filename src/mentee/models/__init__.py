"""Networks by name: the small ones of the papers, timm's, torchvision's, and your own.

Every network reads float32 images `[b, channels, h, w]`, normalised by its `InputContract`, and
gives logits `[b, classes]`. Those of the table say where they can be read: `network.places`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from mentee.errors import MenteeError, suggest
from mentee.models.contract import CONTRACTS, InputContract, normalise
from mentee.models.mobilenet import MobileNetV2
from mentee.models.resnet import CifarResNet, ResNet
from mentee.models.shufflenet import ShuffleNetV1, ShuffleNetV2
from mentee.models.vgg import VGG
from mentee.models.weights import classes_of, count_parameters, load_weights, read_weights
from mentee.models.wide_resnet import WideResNet
from mentee.models.zoo import (
    build_timm,
    build_torchvision,
    contract_of_timm,
    contract_of_torchvision,
)

__all__ = [
    "CONTRACTS",
    "NETWORKS",
    "VGG",
    "ZOOS",
    "CifarResNet",
    "InputContract",
    "MobileNetV2",
    "ResNet",
    "ShuffleNetV1",
    "ShuffleNetV2",
    "WideResNet",
    "build",
    "classes_of",
    "contract_of",
    "count_parameters",
    "load_weights",
    "normalise",
    "read_weights",
    "resolve",
]

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
}
"""The networks of the papers. Call one with `classes`, and `channels` where not 3."""

ZOOS: dict[str, Callable[..., nn.Module]] = {"timm": build_timm, "torchvision": build_torchvision}
"""What stands before the colon of a name: `timm:resnet18`."""


def build(
    name: str, *, classes: int, channels: int = 3, seed: int | None = None, **options: object
) -> nn.Module:
    """A network by name, on the CPU, in training mode.

    Args:
        name: a name of `NETWORKS`, `timm:NAME` or `torchvision:NAME`.
        classes: outputs of the classifier, at least 1.
        channels: channels of the image, at least 1.
        seed: of the random weights; the global random state stays as it was. None: the weights are
            drawn from the global state.
        options: further arguments of the network, such as `widths=(8, 16, 32)` for a thin CIFAR
            ResNet or `pretrained=True` for timm.

    Raises:
        MenteeError: for an unknown name or option, or a number less than 1; says the close ones.

    Example:
        >>> network = build("resnet20-cifar", classes=10, seed=0)
        >>> count_parameters(network)
        272474
    """
    if classes < 1 or channels < 1:
        raise MenteeError(
            f"a network has at least 1 class and 1 channel, not {classes} and {channels}"
        )
    zoo, colon, rest = name.partition(":")
    if name in NETWORKS:
        make = NETWORKS[name]
        _check_options(name, options)
    elif colon and zoo in ZOOS:
        make = partial(ZOOS[zoo], rest)
    else:
        raise MenteeError(
            f"there is no network {name!r}; {_nearest(name.lower())} "
            f"(others: {', '.join(f'{zoo}:NAME' for zoo in ZOOS)})"
        )
    with _seeded(seed):
        return make(classes=classes, channels=channels, **options)


def resolve(
    network: str | nn.Module | Callable[..., nn.Module],
    *,
    classes: int,
    channels: int = 3,
    seed: int | None = None,
) -> nn.Module:
    """A network from whatever names or makes one.

    Args:
        network: a name as for `build`; a module, which is given back as it is; or a function or
            class, which is called with `classes` and `channels`, as far as it takes them.
        classes: outputs of the classifier.
        channels: channels of the image.
        seed: of the random weights of a network that is made here.

    Raises:
        MenteeError: as `build`; or where the function wants other arguments or gives no module.

    Example:
        >>> resolve(lambda classes: nn.Linear(4, classes), classes=3)
        Linear(in_features=4, out_features=3, bias=True)
    """
    if isinstance(network, str):
        return build(network, classes=classes, channels=channels, seed=seed)
    if isinstance(network, nn.Module):
        return network
    arguments = _accepted(network, {"classes": classes, "channels": channels})
    with _seeded(seed):
        made = network(**arguments)
    if not isinstance(made, nn.Module):
        raise MenteeError(
            f"{_title(network)} gave a {type(made).__name__}; expected a torch.nn.Module"
        )
    return made


def contract_of(name: str) -> InputContract:
    """The input contract of well-known data or of a zoo's published weights.

    Args:
        name: a name of `CONTRACTS`, `timm:NAME` or `torchvision:NAME`.

    Raises:
        MenteeError: for an unknown name; says the close ones.

    Example:
        >>> contract_of("cifar10").size
        (32, 32)
    """
    zoo, colon, rest = name.partition(":")
    if colon and zoo == "timm":
        return contract_of_timm(rest)
    if colon and zoo == "torchvision":
        return contract_of_torchvision(rest)
    if name not in CONTRACTS:
        raise MenteeError(
            f"there is no input contract {name!r}; {suggest(name, CONTRACTS)}; or write mean and "
            "std yourself: InputContract(mean, std, size)"
        )
    return CONTRACTS[name]


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Draw from `seed` inside; only the CPU's generator is touched, and put back afterwards."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _nearest(name: str) -> str:
    """The networks that a shortened name begins, as `resnet20` does, else the close ones."""
    longer = [known for known in NETWORKS if known.startswith(name)]
    if 1 <= len(longer) <= 3:
        return f"did you mean {' or '.join(map(repr, longer))}?"
    return suggest(name, NETWORKS)


def _check_options(name: str, options: dict[str, object]) -> None:
    signature = inspect.signature(NETWORKS[name])
    known = [option for option in signature.parameters if option not in ("classes", "channels")]
    for option in options:
        if option not in known:
            raise MenteeError(f"{name} has no option {option!r}; {suggest(option, known)}")


def _accepted(make: Callable[..., nn.Module], offered: dict[str, int]) -> dict[str, int]:
    """Those of the offered arguments that a function takes by name."""
    signature = inspect.signature(make)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    everything = inspect.Parameter.VAR_KEYWORD in kinds
    taken = {k: v for k, v in offered.items() if everything or k in signature.parameters}
    try:
        signature.bind(**taken)
    except TypeError as error:
        raise MenteeError(
            f"{_title(make)}{signature} cannot be called with {', '.join(offered)} alone: {error}; "
            "wrap it in a function that takes those"
        ) from error
    return taken


def _title(make: object) -> str:
    return str(getattr(make, "__name__", type(make).__name__))
