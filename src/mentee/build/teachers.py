"""The teacher of a run: read live, what one said once and for all, or several of either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mentee.build import networks
from mentee.build.classifier_reuse import Classifier, find_classifier
from mentee.build.datasets import MEASURED, DatasetSplits
from mentee.build.networks import PythonOverrides, TeacherSource
from mentee.build.recorded_teachers import recorded, replayed, replays
from mentee.distillation import layer_pairs
from mentee.errors import MenteeError, PairError, RecipeError
from mentee.methods import Method
from mentee.models import own_classes
from mentee.recipe import (
    ATeacher,
    Data,
    EmaRecipe,
    Ensemble,
    MultiRecipe,
    Network,
    OnlineRecipe,
    Recipe,
    RecordedRecipe,
    online_recipe,
    single_teachers,
)
from mentee.records.network_manifest import read_network_manifest
from mentee.records.network_record import find_split
from mentee.teachers import MultiTeacher, OnlineTeacher, RecordedNetworkTeacher
from mentee.teachers.teacher import Teacher
from mentee.types import Batch

LEARNED = ("pretrained", "weights", "checkpoint_path")
"""The options of timm's and torchvision's networks that give them weights."""


def read_teacher(
    recipe: Recipe, given: PythonOverrides, splits: DatasetSplits, wanted: list[str], batch: Batch
) -> Teacher | None:
    """The teacher, at the places that the method reads; None: it is made of the student."""
    said = recipe.teacher
    if said is None:
        raise RecipeError(
            f"method {recipe.method.name!r} reads a teacher; name one under teacher:, or train "
            "from scratch with method: none"
        )
    if isinstance(said, EmaRecipe):
        return None
    if isinstance(said, MultiRecipe):
        return several(said, recipe, given, splits, wanted, batch)
    return one(said, given.teacher, recipe, splits, wanted, batch)


def several(
    said: MultiRecipe,
    recipe: Recipe,
    given: PythonOverrides,
    splits: DatasetSplits,
    wanted: list[str],
    batch: Batch,
) -> MultiTeacher:
    """Each of several teachers, at the places that bear its name.

    Raises:
        MenteeError: one of them is not as it should be; it is named.
    """
    made = given.teacher if isinstance(given.teacher, Mapping) else {}
    asked = {name: own_places(wanted, name) for name in said.teachers}
    found: dict[str, Teacher] = {}
    for name, each in said.teachers.items():
        method = said.methods.get(name, recipe.method)
        if not asked[name]:
            raise RecipeError(
                f"teacher {name}: method {method.name!r} reads nothing of it; give it another "
                f"under teacher.methods, or leave it out"
            )
        alone = recipe.model_copy(update={"teacher": each, "method": method})
        try:
            found[name] = one(each, made.get(name), alone, splits, asked[name], batch)
            for place in asked[name]:
                layer_pairs.check_recorded(place, {p.name: p.shape for p in found[name].places})
        except MenteeError as error:
            raise type(error)(f"teacher {name}: {error}") from error
    return MultiTeacher(found, asked)


def own_places(wanted: Sequence[str], name: str) -> list[str]:
    """The places of one of several teachers, as the teacher calls them.

    Example:
        >>> own_places(["stages.vgg", "embedding.clip"], "vgg")
        ['stages']
    """
    return [each.removesuffix(f".{name}") for each in wanted if each.endswith(f".{name}")]


def one(
    said: OnlineRecipe | RecordedRecipe,
    made: TeacherSource | None,
    recipe: Recipe,
    splits: DatasetSplits,
    wanted: list[str],
    batch: Batch,
) -> Teacher:
    """One teacher.

    Args:
        said: what a resolved recipe says of it.
        made: what was passed from Python for it.
        recipe: of the run; its method is what this teacher teaches by.
        splits: of the run.
        wanted: the places that are read.
        batch: two examples.
    """
    if isinstance(said, RecordedRecipe):
        if replays(said, recipe.data):
            return replayed(said, recipe, splits, wanted)
        return recorded(said, recipe.data, splits, wanted)
    for each in [said] if isinstance(said, Network) else said.networks:
        learned = each.weights is not None or any(each.options.get(key) for key in LEARNED)
        learned = learned or own_classes(each.network) is not None
        if not learned and made is None:
            raise RecipeError(
                f"teacher {each.network} has no weights, and a teacher that has learned "
                "nothing teaches nothing; give teacher.weights a file (or a timm network "
                "options: {pretrained: true}; or take package:efficientnet-lite0)"
            )
    if isinstance(said, Ensemble) and wanted != ["logits"]:
        raise PairError(
            f"several networks teach as one at their logits, and method {recipe.method.name!r} "
            f"reads {', '.join(wanted)}; take a row of logits, such as kd or dkd, or one network"
        )
    network, input = networks.build_teacher(said, made, splits, seed=recipe.train.seed)
    places = networks.places(network, wanted, batch, input)
    return OnlineTeacher(network, places, input, sample=lambda: splits.clean(splits.some(MEASURED)))


def live_teachers(
    teacher: Teacher | None, said: ATeacher | None
) -> dict[str, tuple[OnlineTeacher, OnlineRecipe]]:
    """The teachers that are networks read live, by name, with what the recipe says of them."""
    if teacher is None:
        return {}
    opened = teacher.teachers if isinstance(teacher, MultiTeacher) else {"": teacher}
    pairs = [(name, opened.get(name), each) for name, each in single_teachers(said).items()]
    return {
        name: (each, what)
        for name, each, what in pairs
        if isinstance(each, OnlineTeacher) and isinstance(what, OnlineRecipe)
    }


def outputs_without_labels(
    method: Method, said: OnlineRecipe | RecordedRecipe | MultiRecipe | None, data: Data
) -> int:
    """How many outputs a student has where there are no labels.

    As many as the teacher has, where the method reads its logits or keeps its classifier: that is a
    part of the transfer then, and is thrown away with it. Else one, which nothing trains.

    Args:
        method: the row.
        said: the teacher, resolved.
        data: says of which split its record is.
    """
    read = layer_pairs.required_layers(method)[1]
    if isinstance(said, MultiRecipe):
        heard = [each for name, each in said.teachers.items() if f"logits.{name}" in read]
        return outputs_of(heard[0], data) if heard else 1
    return 1 if "logits" not in read and not method.reuse else outputs_of(said, data)


def outputs_of(said: OnlineRecipe | RecordedRecipe | None, data: Data) -> int:
    """How many outputs a teacher has; 1 where that is not known."""
    if isinstance(said, RecordedRecipe):
        if not replays(said, data):
            return 1
        (path,) = said.record_folders.values()
        said = online_recipe(
            read_network_manifest(find_split(Path(path), data.train)).teacher["network"]
        )
    return 1 if said is None else said.classes or 1


def reused_classifier(
    recipe: Recipe,
    method: Method,
    teacher: Teacher | None,
    given: PythonOverrides,
    splits: DatasetSplits,
    batch: Batch,
) -> Classifier | None:
    """The teacher's classifier, where the method's student keeps it.

    A record of a network's places has none; it is that of the network that the record names.

    Raises:
        PairError: it cannot be had, or does not read what the method projects to.
    """
    if not method.reuse:
        return None
    if isinstance(teacher, OnlineTeacher):
        return find_classifier(teacher.network, teacher.contract, batch, method.reuse)
    if not isinstance(teacher, RecordedNetworkTeacher):
        raise PairError(
            f"method {method.name!r} keeps the teacher's classifier, and a record of embeddings, "
            "or the student's own average, has none; give the recipe a network as teacher, or take "
            "to-teacher"
        )
    was, whose = teacher.record.manifest.teacher, f"that {teacher.record.folder} was recorded of"
    said = online_recipe(was["network"])
    try:
        network, input = networks.build_teacher(said, given.teacher, splits, seed=recipe.train.seed)
    except MenteeError as error:
        raise PairError(
            f"method {method.name!r} keeps the classifier of the network {whose}, and it cannot "
            f"be had ({error}); put it back where it was, or give the recipe the network as teacher"
        ) from error
    if OnlineTeacher(network, (), input).weights_fingerprint() != was["fingerprint"]:
        raise PairError(
            f"method {method.name!r} keeps the classifier of the network {whose}, and "
            f"{said.network} has other weights by now; record anew"
        )
    return find_classifier(network, input, batch, method.reuse)


def reading(recipe: Recipe) -> str:
    """How the teacher is read: `live`, `clean`, `clean for every view` or `views=V`; each."""
    said = recipe.teacher
    if isinstance(said, MultiRecipe):
        alone = {n: recipe.model_copy(update={"teacher": t}) for n, t in said.teachers.items()}
        return ", ".join(f"{name}: {reading(each)}" for name, each in alone.items())
    if isinstance(said, EmaRecipe):
        return f"the student's own average ({said.ema:g})"
    if not isinstance(said, RecordedRecipe):
        return "live"
    if recipe.data.views == "none":
        return "clean"
    return "clean for every view" if said.clean else f"views={recipe.data.cycle}"
