"""Networks by name: the small ones of the papers, timm's, torchvision's, and your own.

Every network gives logits `[b, classes]`. What it reads is its kind: images are float32
`[b, channels, h, w]`, normalized by an `InputContract`; audio the waveform, float32 `[b, samples]`
at the rate it was built for; text the bytes, `[b, t]`, 0 behind the end. Networks of the table say
where they can be read: `network.feature_layers`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from mentee.data import MODALITIES
from mentee.errors import MenteeError, shown, suggest
from mentee.free_memory import require
from mentee.models.audio import MobileFCN, SmallFCN
from mentee.models.checkpoints import read_weights, with_names_of
from mentee.models.composite import PROJECTOR, Ensemble, Mean, ReusedClassifierStudent
from mentee.models.contract import (
    CONTRACTS,
    AudioContract,
    Contract,
    InputContract,
    TextContract,
    normalize,
)
from mentee.models.copying import copied, to_float32
from mentee.models.cp_resnet import CPResNet
from mentee.models.layers import check_widths
from mentee.models.mobilenet import MobileNetV2
from mentee.models.packages import CLASSES, build_packaged, contract_of_packaged
from mentee.models.resnet import CifarResNet, ResNet, WideResNet
from mentee.models.shufflenet import ShuffleNetV1, ShuffleNetV2
from mentee.models.table import NETWORKS, kind_of, nearest
from mentee.models.text import CharCNN, HashedBag
from mentee.models.vgg import VGG
from mentee.models.weights import classes_of, count_parameters, load_weights
from mentee.models.zoo import (
    build_timm,
    build_torchvision,
    contract_of_timm,
    contract_of_torchvision,
)

__all__ = [
    "CONTRACTS",
    "NETWORKS",
    "PROJECTOR",
    "VGG",
    "ZOOS",
    "AudioContract",
    "CPResNet",
    "CharCNN",
    "CifarResNet",
    "Contract",
    "Ensemble",
    "HashedBag",
    "InputContract",
    "Mean",
    "MobileFCN",
    "MobileNetV2",
    "ResNet",
    "ReusedClassifierStudent",
    "ShuffleNetV1",
    "ShuffleNetV2",
    "SmallFCN",
    "TextContract",
    "WideResNet",
    "build",
    "classes_of",
    "contract_of",
    "copied",
    "count_parameters",
    "kind_of",
    "load_weights",
    "normalize",
    "own_classes",
    "read_weights",
    "resolve",
    "to_float32",
    "with_names_of",
]

MANY_CLASSES = 100_000
"""From here on the size of a classifier is compared with the memory that is free."""

ZOOS: dict[str, Callable[..., nn.Module]] = {
    "timm": build_timm,
    "torchvision": build_torchvision,
    "package": build_packaged,
}
"""What stands before the colon of a name: `timm:resnet18`, `package:efficientnet-lite0`."""


def build(
    name: str,
    *,
    classes: int,
    channels: int = 3,
    sample_rate: int = 16000,
    seed: int | None = None,
    **options: object,
) -> nn.Module:
    """A network by name, on the CPU, in training mode.

    Args:
        name: a name of `NETWORKS`, `timm:NAME`, `torchvision:NAME` or `package:NAME`.
        classes: outputs of the classifier, at least 1.
        channels: channels of the image, at least 1; for networks of images.
        sample_rate: samples a second of the waveform, at least 1; for networks of audio.
        seed: of the random weights; the global random state stays as it was. None: the weights are
            drawn from the global state.
        options: further arguments of the network, such as `widths=(8, 16, 32)` for a thin CIFAR
            ResNet or `pretrained=True` for timm.

    Raises:
        MenteeError: for an unknown name or option (names the close ones), or a number below 1.

    Example:
        >>> network = build("resnet20-cifar", classes=10, seed=0)
        >>> count_parameters(network)
        272474
    """
    if classes < 1 or channels < 1:
        raise MenteeError(
            f"a network has at least 1 class and 1 channel, not {classes} and {channels}"
        )
    if sample_rate < 1:
        raise MenteeError(f"the rate is at least 1 sample a second, not {sample_rate}")
    zoo, colon, rest = name.partition(":")
    if name in NETWORKS:
        make = NETWORKS[name]
        _check_options(name, options)
    elif colon and zoo in ZOOS:
        make = partial(ZOOS[zoo], rest)
    else:
        raise MenteeError(
            f"there is no network {name!r}; {nearest(name)} "
            f"(others: {', '.join(f'{zoo}:NAME' for zoo in ZOOS)})"
        )
    offered = {"classes": classes, "channels": channels, "sample_rate": sample_rate}
    arguments = {key: offered[key] for key in MODALITIES[kind_of(name)].network_args}
    if name in NETWORKS and (options or max(classes, channels) > MANY_CLASSES):
        with torch.device("meta"):  # costs no memory, and draws no random number
            planned = make(**arguments, **options)
        size = sum(each.nbytes for each in (*planned.parameters(), *planned.buffers()))
        require(size, f"{name} with {shown(options)}", "choose smaller widths")
    with _seeded(seed):
        return make(**arguments, **options)


def resolve(
    network: str | nn.Module | Callable[..., nn.Module],
    *,
    classes: int,
    channels: int = 3,
    sample_rate: int = 16000,
    seed: int | None = None,
) -> nn.Module:
    """A network from a name, a module, a function or a class.

    Args:
        network: a name as for `build`; a module, which is returned as it is; or a function or
            class, which is called with `classes`, `channels` and `sample_rate`, as far as it takes
            them.
        classes: outputs of the classifier.
        channels: channels of the image.
        sample_rate: samples a second of the waveform.
        seed: of the random weights of a network that is built here.

    Raises:
        MenteeError: as `build`; or where the function wants other arguments or returns no module.

    Example:
        >>> resolve(lambda classes: nn.Linear(4, classes), classes=3)
        Linear(in_features=4, out_features=3, bias=True)
    """
    if isinstance(network, str):
        return build(
            network, classes=classes, channels=channels, sample_rate=sample_rate, seed=seed
        )
    if isinstance(network, nn.Module):
        return network
    if not callable(network):
        raise MenteeError(f"a network is a name, a module or what makes one, not {shown(network)}")
    arguments = _accepted(
        network, {"classes": classes, "channels": channels, "sample_rate": sample_rate}
    )
    with _seeded(seed):
        made = network(**arguments)
    if not isinstance(made, nn.Module):
        raise MenteeError(
            f"{_title(network)} returned a {type(made).__name__}; expected a torch.nn.Module"
        )
    return made


def contract_of(name: str, weights: str | None = None) -> InputContract:
    """The input contract of well-known data or of a zoo's published weights.

    Args:
        name: a name of `CONTRACTS`, `timm:NAME`, `torchvision:NAME` or `package:NAME`.
        weights: which of torchvision's; None: the default ones.

    Raises:
        MenteeError: for an unknown name; names the close ones.

    Example:
        >>> contract_of("cifar10").size
        (32, 32)
    """
    zoo, colon, rest = name.partition(":")
    if colon and zoo == "timm":
        return contract_of_timm(rest)
    if colon and zoo == "torchvision":
        return contract_of_torchvision(rest, weights)
    if colon and zoo == "package":
        return contract_of_packaged(rest)
    if name not in CONTRACTS:
        raise MenteeError(
            f"there is no input contract {name!r}; {suggest(name, CONTRACTS)}; or write mean and "
            "std yourself: InputContract(mean, std, size)"
        )
    return CONTRACTS[name]


def own_classes(name: str) -> int | None:
    """How many classes the weights of a package have; None: the network comes without weights.

    Example:
        >>> own_classes("package:efficientnet-lite0"), own_classes("resnet20-cifar")
        (1000, None)
    """
    return CLASSES if name.startswith("package:") else None


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seed the CPU's generator inside, and restore it afterwards."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    signature = inspect.signature(NETWORKS[name])
    known = {
        key: parameter.default
        for key, parameter in signature.parameters.items()
        if key not in MODALITIES[kind_of(name)].network_args
    }
    for option, value in options.items():
        if option not in known:
            raise MenteeError(f"{name} has no option {option!r}; {suggest(option, known)}")
        if known[option] is None and not (value is None or type(value) is int):
            raise MenteeError(
                f"the option {option} of {name} is a whole number, not {shown(value)}"
            )
        if isinstance(known[option], tuple):
            check_widths(name, value, len(known[option]))
        kinds = (int, float) if isinstance(known[option], float) else (int,)
        if isinstance(known[option], (int, float)) and type(value) not in kinds:
            what = "a number" if float in kinds else "a whole number"
            raise MenteeError(f"the option {option} of {name} is {what}, not {shown(value)}")


def _accepted(make: Callable[..., nn.Module], offered: dict[str, int]) -> dict[str, int]:
    """Those of the offered arguments that a function takes by name, and through `**` its kind's."""
    signature = inspect.signature(make)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    more = MODALITIES[kind_of(make)].network_args if inspect.Parameter.VAR_KEYWORD in kinds else ()
    taken = {k: v for k, v in offered.items() if k in signature.parameters or k in more}
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
