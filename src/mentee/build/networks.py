"""The networks of a run: named in a recipe or passed from Python, with weights and input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

from torch import nn

from mentee import features, models
from mentee.build.classifier_reuse import with_reused_classifier
from mentee.build.datasets import DatasetSplits
from mentee.errors import RecipeError, RunError
from mentee.methods import Method
from mentee.models import AudioContract, Contract, InputContract, TextContract, normalize
from mentee.recipe import (
    AudioInput,
    Data,
    Ensemble,
    Input,
    MultiRecipe,
    Network,
    OnlineRecipe,
    Recipe,
    TextInput,
)
from mentee.types import Batch

ModelFactory: TypeAlias = nn.Module | Callable[..., nn.Module]
TeacherSource: TypeAlias = (
    ModelFactory | Sequence[ModelFactory] | Mapping[str, ModelFactory | Sequence[ModelFactory]]
)
"""A network; several that teach as one; or, by name, several that each teach for themselves."""

GIVEN = "given:"
"""Stands in a resolved recipe before what was passed from Python and has no name there."""


@dataclass(frozen=True)
class PythonOverrides:
    """What a caller in Python passes beside the recipe, each instead of a name in it.

    Attributes:
        data: what `open_examples` takes: arrays, a `datasets.Dataset` or `DatasetDict`.
        student: a module, or a function or class that makes one from `classes`.
        teacher: the same; or several in a list, which teach as one; or in a mapping by name, each
            for itself.
        methods: rows of your own, looked up before the table's.
    """

    data: Any = None
    student: ModelFactory | None = None
    teacher: TeacherSource | None = None
    methods: Mapping[str, Method] | None = None

    def stand_in(self, recipe: Recipe) -> Recipe:
        """The recipe with a mark wherever something was passed instead of a name."""
        update: dict[str, Any] = {}
        if self.data is not None:
            update["data"] = recipe.data.model_copy(
                update={"source": f"{GIVEN}{type(self.data).__name__}"}
            )
        if self.student is not None:
            update["student"] = marked(recipe.student, self.student)
        if isinstance(self.teacher, Mapping):
            update["teacher"] = each_marked(recipe.teacher, self.teacher)
        elif self.teacher is not None:
            update["teacher"] = one_marked(recipe.teacher, self.teacher)
        return recipe.model_copy(update=update)

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe whose parts were passed from Python once and are not now."""
        parts = {
            "data": (recipe.data.source, self.data),
            "student": (recipe.student.network, self.student),
            "teacher": (getattr(recipe.teacher, "network", ""), self.teacher),
        }
        for part, (name, made) in parts.items():
            if GIVEN in name and made is None:
                raise RunError(
                    f"the recipe says {part}: {name}, which was passed from Python; pass it again: "
                    f"mentee.resume(..., {part}=...)"
                )


def marked(said: Network | None, made: Any) -> Network:
    """A network of a recipe with a mark for its name, where it was passed from Python."""
    name = f"{GIVEN}{getattr(made, '__name__', type(made).__name__)}"
    return (said or Network(network=name)).model_copy(update={"network": name})


def one_marked(said: object, made: ModelFactory | Sequence[ModelFactory]) -> Network | Ensemble:
    """A teacher of a recipe, one network or several as one, with marks for the names."""
    if isinstance(made, (list, tuple)):
        return all_marked(said, made)
    return marked(said if isinstance(said, Network) else None, made)


def each_marked(
    said: object, made: Mapping[str, ModelFactory | Sequence[ModelFactory]]
) -> MultiRecipe:
    """Several teachers of a recipe with marks for the names of those that were passed.

    Raises:
        RecipeError: the recipe names others.
    """
    if not isinstance(said, MultiRecipe):
        return MultiRecipe(teachers={name: one_marked(None, each) for name, each in made.items()})
    if unknown := [name for name in made if name not in said.teachers]:
        raise RecipeError(
            f"{', '.join(unknown)} passed from Python, and teacher.teachers names "
            f"{', '.join(said.teachers)}; name them there too"
        )
    marks = {name: one_marked(said.teachers[name], each) for name, each in made.items()}
    return said.model_copy(update={"teachers": {**said.teachers, **marks}})


def all_marked(said: object, made: Sequence[Any]) -> Ensemble:
    """Several networks of a recipe with marks for their names.

    Raises:
        RecipeError: the recipe names another number of them.
    """
    if not isinstance(said, Ensemble):
        return Ensemble(networks=[marked(None, each) for each in made])
    if len(said.networks) != len(made):
        raise RecipeError(
            f"teacher.networks names {len(said.networks)} networks, and {len(made)} were passed "
            "from Python; pass as many, or leave them out of the recipe"
        )
    pairs = zip(said.networks, made, strict=True)
    return said.model_copy(update={"networks": [marked(each, one) for each, one in pairs]})


T = TypeVar("T")


def resolve_teacher(said: T, splits: DatasetSplits, data: Data) -> T:
    """What a recipe says of its teacher, each network with its outputs and input written out."""
    whole: Any = said
    match whole:
        case Network():
            whole = resolve(whole, splits, data, models.own_classes(whole.network))
        case Ensemble():
            several = [resolve_teacher(each, splits, data) for each in whole.networks]
            whole = whole.model_copy(update={"networks": several})
        case MultiRecipe():
            each = {
                name: resolve_teacher(one, splits, data) for name, one in whole.teachers.items()
            }
            whole = whole.model_copy(update={"teachers": each})
    return cast(T, whole)


def resolve(
    said: Network, splits: DatasetSplits, data: Data, outputs: int | None = None
) -> Network:
    """The same network with its outputs and its input written out.

    Args:
        said: as the recipe has it.
        splits: its examples.
        data: how they are read.
        outputs: of a network of which the recipe says nothing; None: the data's classes.

    Raises:
        RecipeError: the data have no classes, and the recipe does not say how many outputs.
    """
    own = models.own_classes(said.network)
    classes = said.classes or outputs or splits.classes
    if not classes:
        raise RecipeError(
            f"{said.network}: the data have no classes, so say how many outputs it has, such as "
            "student: {network: ..., classes: 10}"
        )
    update: dict[str, Any] = {"classes": classes}
    named = said.network if own and said.input is None else said.input
    if named is None:
        update["input"] = splits.measured_input(data)
    elif isinstance(named, str):
        known = models.contract_of(named)
        update["input"] = Input(mean=list(known.mean), std=list(known.std))
        if own and said.size is None and known.size:
            update["size"] = known.size[0]
    if said.weights is not None:
        update["weights"] = str(Path(said.weights).expanduser().resolve())
    if said.classifier not in (None, "new"):
        update["classifier"] = str(Path(str(said.classifier)).expanduser().resolve())
    return said.model_copy(update=update)


def contract(said: Network) -> Contract:
    """The input contract that a resolved recipe writes out."""
    match said.input:
        case Input():
            mean, std = tuple(said.input.mean), tuple(said.input.std)
            return InputContract(mean, std, resize=said.size)
        case AudioInput():
            return AudioContract(said.input.sample_rate, said.input.seconds)
        case TextInput():
            return TextContract(said.input.max_bytes)
    raise RecipeError(f"{said.network}: input is {said.input!r}, expected mean and std")


def build(
    said: Network, made: ModelFactory | None, splits: DatasetSplits, *, seed: int | None
) -> nn.Module:
    """A network of a resolved recipe, with its weights."""
    classes, channels = said.classes or splits.classes, splits.train.channels
    rate = {"sample_rate": said.input.sample_rate} if isinstance(said.input, AudioInput) else {}
    if made is None:
        reads, kind = models.kind_of(said.network), splits.train.kind
        if reads != kind:
            known = [name for name in models.NETWORKS if models.kind_of(name) == kind]
            raise RecipeError(
                f"{said.network} reads {reads}, and {splits.train.name} holds {kind}; networks for "
                f"{kind}: {', '.join(known)}"
            )
        options: dict[str, Any] = dict(said.options) | rate
        network = models.build(
            said.network, classes=classes, channels=channels, seed=seed, **options
        )
    else:
        network = models.resolve(made, classes=classes, channels=channels, seed=seed, **rate)
    if said.classifier is not None:
        begin_classifier(network, said, splits.first(2))
        return network
    if said.reuse is not None and said.reuse.shape is None:
        raise RecipeError(
            f"{said.network}: reuse does not say whose classifier it ends in; take it from the "
            "recipe.yaml of the run that trained the network (student.reuse)"
        )
    ended = said.reuse is not None and said.weights is not None and of_whole(said.weights)
    if said.weights is not None and not ended:
        models.load_weights(network, said.weights)
    if said.reuse is not None:
        inputs = normalize(splits.first(2).inputs, contract(said))
        network = with_reused_classifier(
            network, said.reuse, inputs, classes=classes, seed=seed or 0
        )
    if said.weights is not None and ended:
        models.load_weights(network, said.weights)
    return network


def begin_classifier(network: nn.Module, said: Network, batch: Batch) -> None:
    """Load the weights of all but the classifier, and give that the ones it is to begin with.

    Args:
        network: changed in place; its classifier is as it was drawn.
        said: what its recipe says.
        batch: two examples, to find the classifier by.

    Raises:
        RecipeError: a file is of another network, or of another number of classes.
    """
    if said.reuse is not None:
        raise RecipeError(
            f"{said.network}: reuse ends it in its teacher's classifier, and classifier gives it "
            "another one; leave one of them out"
        )
    path = places(network, ["embedding"], batch, contract(said))[0].path
    own = network.get_submodule(path)
    begin = {name: value.clone() for name, value in own.state_dict().items()}
    if said.classifier not in (None, "new"):
        found = models.read_weights(str(said.classifier))
        if {name: len(each) for name, each in found.items()} != dict.fromkeys(begin, said.classes):
            held = ", ".join(f"{name} {list(each.shape)}" for name, each in found.items())
            raise RecipeError(
                f"{said.classifier} has {held}; the classifier of {said.network} has "
                f"{', '.join(begin)} of {said.classes} classes"
            )
        begin = {name: found[name].reshape(value.shape) for name, value in begin.items()}
    if said.weights is not None:
        kept = models.load_weights(network, said.weights, strict=False)
        foreign = [name for name in kept if not name.startswith(f"{path}.")]
        if foreign:
            raise RecipeError(
                f"{said.weights} lacks {len(foreign)} weights of {said.network}, such as "
                f"{foreign[0]}; it is of another network"
            )
    own.load_state_dict(begin)


def build_teacher(
    said: OnlineRecipe, made: TeacherSource | None, splits: DatasetSplits, *, seed: int | None
) -> tuple[nn.Module, Contract]:
    """A teacher of a resolved recipe, one network or several as one, and what it reads."""
    if isinstance(said, Network):
        if isinstance(made, (list, tuple)):
            raise RecipeError("teacher: several networks were passed from Python for one")
        return build(said, cast(ModelFactory | None, made), splits, seed=seed), contract(said)
    several = made if isinstance(made, (list, tuple)) else [made] * len(said.networks)
    networks = [
        build(*pair, splits, seed=seed) for pair in zip(said.networks, several, strict=True)
    ]
    ensemble = models.Ensemble(
        networks,
        [contract(each) for each in said.networks],
        mean="logits" if splits.train.task.outputs == "values" else said.mean,
        several=splits.train.task.outputs == "label logits",
    )
    return ensemble, ensemble.contract


def of_whole(weights: str) -> bool:
    """Whether weights are of a network that ends in another one's classifier, or of a trunk."""
    return any(name.startswith("trunk.") for name in models.read_weights(weights))


def places(
    network: nn.Module, wanted: Sequence[str], batch: Batch, input: Contract
) -> tuple[features.Layer, ...]:
    """Where a network is read, tried on a small batch."""
    return features.resolve(network, wanted, normalize(batch.inputs, input))
