"""The networks of a run: named in a recipe or passed from Python, with weights and input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from mentee import features, models
from mentee.build.classifier_reuse import with_reused_classifier
from mentee.build.datasets import DatasetSplits
from mentee.build.outputs import Expected, give_logits
from mentee.build.overrides import ModelFactory, TeacherSource
from mentee.build.own_input import input_note, is_alike, own_input
from mentee.errors import MenteeError, RecipeError
from mentee.models import AudioContract, Contract, InputContract, TextContract, normalize
from mentee.models.pointwise import replace_strided_pointwise
from mentee.recipe import AudioInput, Data, Input, Network, OnlineRecipe, TextInput
from mentee.types import Batch

TRIED = 4
"""Examples that a teacher is run on to see what its outputs are."""


def resolve(
    recipe: Network,
    splits: DatasetSplits,
    data: Data,
    outputs: int | None = None,
    *,
    source: ModelFactory | None = None,
    key: str = "student",
    notes: list[str] | None = None,
) -> Network:
    """The same network with its outputs and its input written out.

    Images are normalized as the recipe says, else as the network was trained, else by mean and
    standard deviation of the training images.

    Args:
        recipe: as the recipe has it.
        splits: its examples.
        data: how they are read.
        outputs: of a network of which the recipe says nothing; None: the data's classes.
        source: what was passed from Python instead.
        key: of the network in the recipe; a teacher's begins with `teacher`.
        notes: gets the line that tells how images are normalized, where it is not measured.

    Raises:
        RecipeError: the data have no classes, and the recipe does not say how many outputs.
    """
    models.kind_of(recipe.network)  # there is such a network, whether a method reads it or not
    own = models.own_classes(recipe.network)
    classes = recipe.classes or outputs or splits.classes
    if not classes:
        raise RecipeError(
            f"{recipe.network}: the data have no classes, so say how many outputs it has, such as "
            "student: {network: ..., classes: 10}"
        )
    update: dict[str, Any] = {"classes": classes}
    named = recipe.network if own and recipe.input is None else recipe.input
    teaches, images = key.startswith("teacher"), splits.train.kind == "image"
    trained_with, known = None, None
    if named is None and images:
        trained_with = own_input(
            recipe, source, classes=classes, channels=splits.train.channels, teaches=teaches
        )
        measures = trained_with is None or trained_with.of_run
        measured = splits.measured_input(data) if measures else None
        if trained_with and not (measured and is_alike(trained_with, measured)):
            known = trained_with.contract
    elif isinstance(named, str):
        known = models.contract_of(named)
    if known is not None:
        update["input"] = Input(mean=list(known.mean), std=list(known.std))
        size = known.size[0] if own and known.size else known.resize
        update["size"] = recipe.size or size
    elif named is None:
        update["input"] = splits.measured_input(data)
    if update.get("size", recipe.size) and images:
        how = "bilinear" if known is None or own else known.interpolation
        update["interpolation"] = recipe.interpolation or how
    if recipe.weights is not None:
        update["weights"] = str(Path(recipe.weights).expanduser().resolve())
    if recipe.classifier not in (None, "new"):
        update["classifier"] = str(Path(str(recipe.classifier)).expanduser().resolve())
    resolved = recipe.model_copy(update=update)
    if notes is not None and images and (teaches or trained_with is not None):
        fed = splits.first(1).inputs.shape[-2:]
        by_recipe = named is not None
        notes.append(input_note(key, resolved, trained_with, (fed[0], fed[1]), by_recipe=by_recipe))
    return resolved


def contract(recipe: Network) -> Contract:
    """The input contract that a resolved recipe writes out."""
    match recipe.input:
        case Input():
            mean, std = tuple(recipe.input.mean), tuple(recipe.input.std)
            how = recipe.interpolation or "bilinear"
            return InputContract(mean, std, resize=recipe.size, interpolation=how)
        case AudioInput():
            return AudioContract(recipe.input.sample_rate, recipe.input.seconds)
        case TextInput():
            return TextContract(recipe.input.max_bytes)
    raise RecipeError(f"{recipe.network}: input is {recipe.input!r}, expected mean and std")


def build(
    recipe: Network,
    source: ModelFactory | None,
    splits: DatasetSplits,
    *,
    seed: int | None,
    notes: list[str] | None = None,
    frozen: bool = False,
) -> nn.Module:
    """A network of a resolved recipe, or a copy of one passed, with weights, float32, on the CPU.

    `notes` gets a line for each thing that was changed. A `frozen` one is a teacher, a copy of
    which may share the weights.

    Raises:
        MenteeError: there is no such network, it cannot be copied, or its weights do not fit.
    """
    network = build_untrained(recipe, source, splits, seed=seed, frozen=frozen)
    if not frozen:
        replace_strided_pointwise(network)
    if any(is_lazy(each) for each in [*network.parameters(), *network.buffers()]):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed or 0)
            network(normalize(splits.first(2).inputs, contract(recipe)))  # which gives it its sizes
    if (kind := models.to_float32(network)) and notes is not None:
        title = f"{'teacher' if frozen else 'student'} {type(network).__name__}"
        notes.append(f"{title}: its weights of {kind} were changed to float32")
    return with_weights(network, recipe, splits, seed=seed, notes=notes)


def build_untrained(
    recipe: Network,
    source: ModelFactory | None,
    splits: DatasetSplits,
    *,
    seed: int | None,
    frozen: bool = False,
) -> nn.Module:
    """A network of a resolved recipe, as it is made or passed; the arguments are `build`'s."""
    classes, channels = recipe.classes or splits.classes, splits.train.channels
    rate = {"sample_rate": recipe.input.sample_rate} if isinstance(recipe.input, AudioInput) else {}
    if source is None:
        reads, kind = models.kind_of(recipe.network), splits.train.kind
        if reads != kind:
            known = [name for name in models.NETWORKS if models.kind_of(name) == kind]
            raise RecipeError(
                f"{recipe.network} reads {reads}, and {splits.train.name} holds {kind}; networks "
                f"for {kind}: {', '.join(known)}"
            )
        options: dict[str, Any] = dict(recipe.options) | rate
        return models.build(
            recipe.network, classes=classes, channels=channels, seed=seed, **options
        )
    network = models.resolve(source, classes=classes, channels=channels, seed=seed, **rate)
    changes = not frozen or recipe.weights is not None or recipe.classifier is not None
    try:
        return models.copied(network, shares_weights=not changes).cpu()
    except MenteeError:
        if isinstance(source, nn.Module):  # what a function makes is the run's own
            raise
        return network.cpu()


def with_weights(
    network: nn.Module,
    recipe: Network,
    splits: DatasetSplits,
    *,
    seed: int | None,
    notes: list[str] | None,
) -> nn.Module:
    """The network with the weights and the classifier of its recipe."""
    classes = recipe.classes or splits.classes
    if recipe.classifier is not None:
        begin_classifier(network, recipe, splits.first(2))
        return network
    if recipe.reuse is not None and recipe.reuse.shape is None:
        raise RecipeError(
            f"{recipe.network}: reuse does not say whose classifier it ends in; take it from the "
            "recipe.yaml of the run that trained the network (student.reuse)"
        )
    ended = recipe.reuse is not None and recipe.weights is not None and of_whole(recipe.weights)
    if recipe.weights is not None and not ended:
        models.load_weights(network, recipe.weights, notes=notes)
    if recipe.reuse is not None:
        inputs = normalize(splits.first(2).inputs, contract(recipe))
        network = with_reused_classifier(
            network, recipe.reuse, inputs, classes=classes, seed=seed or 0
        )
    if recipe.weights is not None and ended:
        models.load_weights(network, recipe.weights, notes=notes)
    return network


def begin_classifier(network: nn.Module, recipe: Network, batch: Batch) -> None:
    """Load the weights of all but the classifier, and give that the ones it is to begin with.

    Raises:
        RecipeError: a file is of another network, or of another number of classes.
    """
    if recipe.reuse is not None:
        raise RecipeError(
            f"{recipe.network}: reuse ends it in its teacher's classifier, and classifier gives it "
            "another one; leave one of them out"
        )
    path = layers(network, ["embedding"], batch, contract(recipe))[0].path
    own = network.get_submodule(path)
    begin = {name: value.clone() for name, value in own.state_dict().items()}
    if recipe.classifier not in (None, "new"):
        weights = models.read_weights(str(recipe.classifier))
        if {name: len(each) for name, each in weights.items()} != dict.fromkeys(
            begin, recipe.classes
        ):
            held = ", ".join(f"{name} {list(each.shape)}" for name, each in weights.items())
            raise RecipeError(
                f"{recipe.classifier} has {held}; the classifier of {recipe.network} has "
                f"{', '.join(begin)} of {recipe.classes} classes"
            )
        begin = {name: weights[name].reshape(value.shape) for name, value in begin.items()}
    if recipe.weights is not None:
        missing = models.load_weights(network, recipe.weights, strict=False)
        foreign = [name for name in missing if not name.startswith(f"{path}.")]
        if foreign:
            raise RecipeError(
                f"{recipe.weights} lacks {len(foreign)} weights of {recipe.network}, such as "
                f"{foreign[0]}; it is of another network"
            )
    own.load_state_dict(begin)


def build_teacher(
    recipe: OnlineRecipe,
    source: TeacherSource | None,
    splits: DatasetSplits,
    *,
    seed: int | None,
    notes: list[str] | None = None,
) -> tuple[nn.Module, Contract]:
    """A teacher of a resolved recipe, one network or several as one, and what it reads.

    The arguments are those of `build`. Probabilities that it returns become logits.
    """
    if isinstance(recipe, Network):
        if isinstance(source, (list, tuple)):
            raise RecipeError("teacher: several networks were passed from Python for one")
        only = cast(ModelFactory | None, source)
        return teacher_network(recipe, only, splits, seed, notes), contract(recipe)
    several = source if isinstance(source, (list, tuple)) else [source] * len(recipe.networks)
    members = [
        teacher_network(each, passed, splits, seed, notes)
        for each, passed in zip(recipe.networks, several, strict=True)
    ]
    ensemble = models.Ensemble(
        members,
        [contract(each) for each in recipe.networks],
        mean="logits" if splits.train.task.outputs == "values" else recipe.mean,
        several=splits.train.task.outputs == "label logits",
    )
    return ensemble, ensemble.contract


def teacher_network(
    recipe: Network,
    source: ModelFactory | None,
    splits: DatasetSplits,
    seed: int | None,
    notes: list[str] | None,
) -> nn.Module:
    """One network of a teacher, which returns logits."""
    network = build(recipe, source, splits, seed=seed, notes=notes, frozen=True)
    inputs = normalize(splits.first(TRIED).inputs, contract(recipe))
    who = f"teacher {type(network).__name__}"
    expected = Expected(who, "teacher.classes", recipe.classes or 0, splits.train.task)
    give_logits(network, inputs, expected, notes)
    return network


def of_whole(weights: str) -> bool:
    """Whether weights are of a network that ends in another one's classifier, or of a trunk."""
    return any(f".{name}".find(".trunk.") >= 0 for name in models.read_weights(weights))


def layers(
    network: nn.Module, wanted: Sequence[str], batch: Batch, input: Contract
) -> tuple[features.Layer, ...]:
    """Where a network is read, tried on a small batch."""
    device = next((p.device for p in network.parameters()), "cpu")
    return features.resolve(network, wanted, normalize(batch.inputs.to(device), input))
