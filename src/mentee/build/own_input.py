"""The input that a network was trained with, as far as it, its weights or its package tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from mentee import models
from mentee.build.overrides import ModelFactory
from mentee.errors import MenteeError
from mentee.models import InputContract
from mentee.models.zoo import known
from mentee.recipe import Input, Network, read

TRAINED = ("pretrained", "weights", "checkpoint_path")
"""The options of timm's and torchvision's networks that give them trained weights."""

FAR = 1.3
"""How many times larger or smaller images may be than those of training before it is told."""

ALIKE = 0.1
"""Shares of a standard deviation by which what is measured on a part of the images may differ."""


@dataclass(frozen=True)
class OwnInput:
    """What a network reads by what is known of its training, and who says so."""

    contract: InputContract
    source: str
    of_run: bool = False


def is_trained(recipe: Network) -> bool:
    """Whether a recipe's network has weights that were trained."""
    return recipe.weights is not None or any(recipe.options.get(key) for key in TRAINED)


def own_input(
    recipe: Network, source: ModelFactory | None, *, classes: int, channels: int, teaches: bool
) -> OwnInput | None:
    """The input that a network of images was trained with; None: nothing tells.

    1. The run folder that its weights lie in; 2. `pretrained_cfg` of a module that was passed; 3.
    the package of a network by name, for a teacher, and for a student with trained weights.
    """
    own = of_run(recipe)
    if own is None and source is not None:
        own = of_module(made(source, classes, channels))
    elif own is None and (teaches or is_trained(recipe)):
        own = of_package(recipe)
    return None if own is None else for_channels(own, channels)


def of_run(recipe: Network) -> OwnInput | None:
    """As in the run that trained the weights."""
    path = Path(recipe.weights or "").expanduser().parent / "recipe.yaml"
    if recipe.weights is None or not path.is_file():
        return None
    try:
        run = read(path)
    except MenteeError:  # a recipe of something else
        return None
    network = run.student
    if network.network != recipe.network or not isinstance(network.input, Input):
        return None
    size = network.size or run.data.size
    how = network.interpolation if network.size else run.data.interpolation
    contract = InputContract(
        tuple(network.input.mean),
        tuple(network.input.std),
        None if size is None else (size, size),
        resize=network.size,
        interpolation=how or "bilinear",
    )
    return OwnInput(contract, f"the run {path.parent}", of_run=True)


def is_alike(own: OwnInput, measured: Any) -> bool:
    """Whether a run's own input is what was measured, but for the examples it was measured on.

    Then what is measured stays in use, as in earlier versions.
    """
    contract = own.contract
    if len(contract.mean) != len(measured.mean):
        return False
    pairs = zip(contract.mean, contract.std, measured.mean, measured.std, strict=True)
    return contract.resize is None and all(
        abs(mean - m) < ALIKE * s and abs(std - s) < ALIKE * s for mean, std, m, s in pairs
    )


def of_module(network: nn.Module | None) -> OwnInput | None:
    """As `pretrained_cfg` says, which timm's networks carry."""
    config: Any = getattr(network, "pretrained_cfg", None)
    if config is not None and not isinstance(config, Mapping):
        config = vars(config)
    if not config or not config.get("mean") or not config.get("std"):
        return None
    size = config.get("input_size")
    contract = InputContract(
        tuple(config["mean"]),
        tuple(config["std"]),
        tuple(size[1:]) if size else None,
        interpolation=known(config.get("interpolation")),
    )
    return OwnInput(contract, "its pretrained_cfg")


def of_package(recipe: Network) -> OwnInput | None:
    """As timm or torchvision says of its weights."""
    zoo = recipe.network.partition(":")[0]
    if zoo not in ("timm", "torchvision"):
        return None
    tag = recipe.options.get("weights")
    try:
        contract = models.contract_of(recipe.network, tag if isinstance(tag, str) else None)
    except MenteeError:  # the package says nothing, or there is no such network, told later
        return None
    return OwnInput(contract, zoo)


def made(source: ModelFactory, classes: int, channels: int) -> nn.Module | None:
    """The module, or one that the function makes; None: it wants something else, told later."""
    try:
        return models.resolve(source, classes=classes, channels=channels, seed=0)
    except MenteeError:
        return None


def for_channels(own: OwnInput, channels: int) -> OwnInput | None:
    """The same for gray images, by the mean over the channels; None: for no such number."""
    contract = own.contract
    if len(contract.mean) in (1, channels):
        return own
    if channels != 1:
        return None
    mean, std = (sum(each) / len(each) for each in (contract.mean, contract.std))
    return replace(own, contract=replace(contract, mean=(mean,), std=(std,)))


def input_note(
    key: str, recipe: Network, own: OwnInput | None, fed: tuple[int, int], *, by_recipe: bool
) -> str:
    """The line that tells how a network's images are normalized, and why.

    `fed` is height and width of the examples; `by_recipe`: whether the recipe says how.
    """
    input = recipe.input
    if not isinstance(input, Input):
        return ""
    numbers = f"mean {short(input.mean)}, std {short(input.std)}"
    if by_recipe:
        reason = "as the recipe says"
    elif own is not None:
        reason = f"as {own.source} says"
    else:
        reason = (
            f"as measured on the training images, since nothing tells how it was trained; if "
            f"otherwise, set {key}.input"
        )
    end = size_note(key, recipe, own, fed)
    return f"{key} {recipe.network}: images are normalized by {numbers}, {reason}{end}"


def size_note(key: str, recipe: Network, own: OwnInput | None, fed: tuple[int, int]) -> str:
    """The end of that line: at which size it reads, where it was trained with another."""
    read_at = (recipe.size, recipe.size) if recipe.size else fed
    text = f"; it reads {read_at[0]}×{read_at[1]}"
    if recipe.size and read_at != fed:
        text += f" (resized by {recipe.interpolation}, antialiased)"
    trained = None if own is None else own.contract.size
    if own is None or trained is None or 1 / FAR < trained[0] / read_at[0] < FAR:
        return text
    return (
        f"{text}. Warning: by {own.source} it was trained with {trained[0]}×{trained[1]} "
        f"({own.contract.interpolation}): if its scores are poor, set {key}.size: "
        f"{trained[0]}"
    )


def short(numbers: list[float]) -> str:
    """Numbers for a message."""
    return ", ".join(f"{each:.4g}" for each in numbers)
