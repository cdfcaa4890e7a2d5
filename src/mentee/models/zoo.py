"""Networks of timm and torchvision; neither package is imported before one is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType

from torch import nn

from mentee.errors import MenteeError, shortened, shown, suggest
from mentee.models.contract import INTERPOLATIONS, InputContract


def build_timm(name: str, *, classes: int, channels: int, **options: object) -> nn.Module:
    """The network that timm calls `name`, such as `resnet18.a1_in1k`, by `timm.create_model`.

    It has random weights unless `pretrained=True`.

    Raises:
        MenteeError: where timm is missing, or has no such network or option.

    Example:
        >>> build_timm("resnet10t", classes=5, channels=1).num_classes
        5
    """
    timm = _package("timm", name)
    _known_to_timm(timm, name)
    settings = {"pretrained": False, "num_classes": classes, "in_chans": channels, **options}
    return _created("timm", timm.create_model, name, settings)


def build_torchvision(name: str, *, classes: int, channels: int, **options: object) -> nn.Module:
    """The network that torchvision calls `name`, by `torchvision.models.get_model`.

    It reads 3 channels, and has random weights unless `weights` are named.

    Raises:
        MenteeError: where torchvision is missing, or has no such network or option.
    """
    models = _package("torchvision.models", name)
    _known_to_torchvision(models, name)
    if channels != 3:
        raise MenteeError(
            f"torchvision:{name} reads 3 channels, not {channels}; timm's networks read any number"
        )
    settings = {"weights": None, "num_classes": classes, **options}
    return _created("torchvision", models.get_model, name, settings)


def _created(
    package: str, create: Callable[..., nn.Module], name: str, settings: Mapping[str, object]
) -> nn.Module:
    try:
        return create(name, **settings)
    except Exception as error:  # whatever its code makes of the options
        raise MenteeError(
            f"{package} cannot build {name!r} with {shown(settings, 300)}: "
            f"{type(error).__name__}: {shortened(str(error), 300)}"
        ) from error


def contract_of_timm(name: str) -> InputContract:
    """The input contract of timm's published weights of `name`.

    Raises:
        MenteeError: where timm is missing, has no such network, or no numbers for it.

    Example:
        >>> contract_of_timm("vit_base_patch16_224.augreg_in21k").mean
        (0.5, 0.5, 0.5)
    """
    timm = _package("timm", name)
    _known_to_timm(timm, name)
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise MenteeError(f"timm says nothing about the input of {name!r}: give mean and std")
    return InputContract(
        tuple(config.mean),
        tuple(config.std),
        tuple(config.input_size[1:]),
        interpolation=known(config.interpolation),
    )


def contract_of_torchvision(name: str, weights: str | None = None) -> InputContract:
    """The input contract of torchvision's weights of `name`; None: the default ones.

    Raises:
        MenteeError: where torchvision is missing, has no such network, or no numbers for it.
    """
    models = _package("torchvision.models", name)
    _known_to_torchvision(models, name)
    published = models.get_model_weights(name)
    tag = (weights or "DEFAULT").rpartition(".")[2]
    if tag not in published.__members__:
        raise MenteeError(
            f"torchvision has no weights {tag!r} of {name!r}; {suggest(tag, published.__members__)}"
        )
    preset = published[tag].transforms()
    if not hasattr(preset, "mean"):
        raise MenteeError(f"torchvision says nothing about the input of {name!r}: give mean, std")
    size = int(preset.crop_size[0])
    how = known(preset.interpolation.value)
    return InputContract(tuple(preset.mean), tuple(preset.std), (size, size), interpolation=how)


def known(interpolation: object) -> str:
    """A name of `INTERPOLATIONS`; `bilinear` for others, such as timm's `random`.

    Example:
        >>> known("bicubic"), known("random")
        ('bicubic', 'bilinear')
    """
    return str(interpolation) if interpolation in INTERPOLATIONS else "bilinear"


def _package(module: str, name: str) -> ModuleType:
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MenteeError(
            f"{package}:{name} needs {package}, which cannot be imported ({error}): "
            "pip install 'mentee[vision]'"
        ) from error


def _known_to_timm(timm: ModuleType, name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        hint = suggest(architecture, timm.list_models())
        raise MenteeError(f"timm has no network {architecture!r}; {hint}")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise MenteeError(f"timm has no weights {tag!r} of {architecture!r}; {suggest(tag, tags)}")


def _known_to_torchvision(models: ModuleType, name: str) -> None:
    known = models.list_models(module=models)
    if name not in known:
        raise MenteeError(f"torchvision has no network {name!r}; {suggest(name, known)}")
