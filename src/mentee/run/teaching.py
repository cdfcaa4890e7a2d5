"""The teacher of a run: a network that is read live, or what one said once and for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentee import pairing
from mentee.errors import MenteeError, PairError, RecipeError
from mentee.methods import Method
from mentee.models import own_classes
from mentee.recipe import Data, Ensemble, Live, Network, Recipe, Recorded, live_of
from mentee.run import networks
from mentee.run.networks import Given
from mentee.run.reusing import Classifier, classifier_of
from mentee.run.sets import DEFAULT_VIEWS, MEASURED, Sets
from mentee.teachers import LiveTeacher, RecordedTeacher, ReplayedTeacher, open_records
from mentee.teachers.record.memory import load
from mentee.teachers.record.places import find_split, is_places, open_places
from mentee.teachers.record.places_manifest import read_places
from mentee.teachers.recorded import IN_MEMORY
from mentee.teachers.teacher import Teacher
from mentee.transfer import Transfer
from mentee.types import CLEAN, Batch, column

LEARNED = ("pretrained", "weights", "checkpoint_path")
"""The options of timm's and torchvision's networks that give them weights."""

VIEW_KEYS = ("views", "pad", "size", "seconds", "rate", "length", "view_seed")
"""The keys of `data` that say how a view is made of an example."""


def read_teacher(
    recipe: Recipe, given: Given, sets: Sets, wanted: list[str], batch: Batch
) -> Teacher:
    """The teacher, at the places that the method reads."""
    said = recipe.teacher
    if said is None:
        raise RecipeError(
            f"method {recipe.method.name!r} reads a teacher; name one under teacher:, or train "
            "from scratch with method: none"
        )
    if isinstance(said, Recorded):
        if replays(said, recipe.data):
            return replayed(said, recipe, sets, wanted)
        return recorded(said, recipe.data, sets, wanted)
    for each in [said] if isinstance(said, Network) else said.networks:
        learned = each.weights is not None or any(each.options.get(key) for key in LEARNED)
        learned = learned or own_classes(each.network) is not None
        if not learned and given.teacher is None:
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
    network, input = networks.build_teacher(said, given.teacher, sets, seed=recipe.train.seed)
    places = networks.places(network, wanted, batch, input)
    return LiveTeacher(network, places, input, sample=lambda: sets.clean(sets.some(MEASURED)))


def outputs_without_labels(method: Method, said: Live | Recorded | None, data: Data) -> int:
    """How many outputs a student has where there are no labels.

    As many as the teacher has, where the method reads its logits or keeps its classifier: that is a
    part of the transfer then, and is thrown away with it. Else one, which nothing trains.

    Args:
        method: the row.
        said: the teacher, resolved.
        data: says of which split its record is.
    """
    if "logits" not in pairing.wanted(method)[1] and not method.reuse:
        return 1
    if isinstance(said, Recorded):
        if not replays(said, data):
            return 1
        (path,) = said.records.values()
        said = live_of(read_places(find_split(Path(path), data.train)).teacher["network"])
    return 1 if said is None else said.classes or 1


def kept_by(
    recipe: Recipe, method: Method, teacher: Teacher | None, given: Given, sets: Sets, batch: Batch
) -> Classifier | None:
    """The teacher's classifier, where the method's student keeps it.

    A record of a network's places has none; it is that of the network that the record names.

    Raises:
        PairError: it cannot be had, or does not read what the method projects to.
    """
    if not method.reuse:
        return None
    if isinstance(teacher, LiveTeacher):
        return classifier_of(teacher.network, teacher.contract, batch, method.reuse)
    if not isinstance(teacher, ReplayedTeacher):
        raise PairError(
            f"method {method.name!r} keeps the teacher's classifier, and a record of embeddings "
            "has none; give the recipe a network as teacher, or take to-teacher"
        )
    was, whose = teacher.record.manifest.teacher, f"that {teacher.record.folder} was recorded of"
    said = live_of(was["network"])
    try:
        network, input = networks.build_teacher(said, given.teacher, sets, seed=recipe.train.seed)
    except MenteeError as error:
        raise PairError(
            f"method {method.name!r} keeps the classifier of the network {whose}, and it cannot "
            f"be had ({error}); put it back where it was, or give the recipe the network as teacher"
        ) from error
    if LiveTeacher(network, (), input).weights_fingerprint() != was["fingerprint"]:
        raise PairError(
            f"method {method.name!r} keeps the classifier of the network {whose}, and "
            f"{said.network} has other weights by now; record anew"
        )
    return classifier_of(network, input, batch, method.reuse)


def reading(recipe: Recipe) -> str:
    """How the teacher is read: `live`, `clean`, `clean for every view` or `views=V`."""
    said = recipe.teacher
    if not isinstance(said, Recorded):
        return "live"
    if recipe.data.views == "none":
        return "clean"
    return "clean for every view" if said.clean else f"views={recipe.data.cycle}"


def recorded(said: Recorded, data: Data, sets: Sets, wanted: list[str]) -> RecordedTeacher:
    """The records of the training split, made sure that they are of these examples.

    Raises:
        RecipeError: what was recorded is not what the student will read.
        DataError: a record does not fit the examples, or is damaged.
        RunError: it does not fit into memory.
    """
    moved = data.views in ("shift", "mask") and any(p.startswith("frames") for p in wanted)
    if moved or (data.views != "none" and not said.clean):
        raise RecipeError(
            f"the record was made of the clean examples, and data.views is {data.views}; "
            + (
                "its time frames do not fit a clip that is moved: set data.views to none"
                if moved
                else "set data.views to none, or say that what the teacher said of the clean "
                "example teaches every view of it: teacher: {record: ..., clean: true}"
            )
        )
    records = {name: open_records(path, data.train) for name, path in said.records.items()}
    for record in records.values():
        record.check(sets.whole)
        seconds = record.manifest.data.get("seconds")
        other = seconds is not None and not math.isclose(
            float(seconds), data.seconds or 0.0, abs_tol=1e-3
        )
        if record.manifest.frames is not None and other:
            raise RecipeError(
                f"{record.folder} has the time frames of {seconds} seconds, and data.seconds is "
                f"{data.seconds}; make them equal"
            )
    if said.in_memory:
        load(records.values(), name="what was recorded")
    memory = 0 if said.in_memory else IN_MEMORY  # nothing is in memory twice
    return RecordedTeacher(records.get("", records), sets.train, memory=memory)


def replays(said: Recorded, data: Data) -> bool:
    """Whether it is a record of the places of a network.

    Raises:
        RecipeError: it is one of several.
    """
    several = [name for name, path in said.records.items() if is_places(path, data.train)]
    if several and len(said.records) > 1:
        raise RecipeError(
            f"teacher.record: {several[0]} is a record of a network's places, which teaches alone; "
            "name it only, or name records of embeddings"
        )
    return bool(several)


def replayed(said: Recorded, recipe: Recipe, sets: Sets, wanted: Sequence[str]) -> ReplayedTeacher:
    """The record of a network's places, made sure that it is of these examples.

    Raises:
        RecipeError: it has not what the method reads.
        DataError: it does not fit the examples, or is damaged.
        RunError: it does not fit into memory.
    """
    (path,) = said.records.values()
    record = open_places(path, recipe.data.train)
    record.check(sets.train, sets.whole)
    held = {name for each in record.columns for name in each.shapes}
    numbered = {name.rpartition(".")[0] for name in held if name.rpartition(".")[2].isdigit()}
    missing = [place for place in wanted if place not in held | numbered]
    if missing:
        raise RecipeError(lacks(path, recipe.method.name, missing, sorted(held)))
    clean = said.clean or recipe.data.views == "none"
    if said.in_memory:
        views = [CLEAN] if clean else range(recipe.data.cycle or record.views)
        load(record.of_views(views), name=str(path))
    sample = sets.some(MEASURED)
    return ReplayedTeacher(record, sets.train, clean=clean, sample=lambda: sets.clean(sample))


def check_columns(transfer: Transfer, teacher: Teacher | None, path: Any) -> None:
    """Make sure that a record of places has what a bound method reads.

    Raises:
        PairError: a representation depends on the batch.
        RecipeError: the record has something else of a place.
    """
    if not isinstance(teacher, ReplayedTeacher):
        return
    held = {each.name for each in teacher.record.columns}
    for bound in transfer.bound:
        reduction = transfer.side(bound)[1].reduction
        if reduction is None:
            raise PairError(
                f"{bound.name} depends on what else is in the batch, so no record holds it; give "
                "the recipe its network as teacher"
            )
        if column(bound.teacher, reduction) not in held:
            wanted = [column(bound.teacher, reduction)]
            raise RecipeError(lacks(path, transfer.method.name, wanted, sorted(held)))


def lacks(path: Any, method: str, wanted: Sequence[str], held: Sequence[str]) -> str:
    """What to do where a record has not what a method reads."""
    return (
        f"the record {path} has {', '.join(held)}; method {method!r} reads {', '.join(wanted)} "
        f"too. Add it: mentee record RECIPE --out {path} --methods {method}"
    )


def with_views_of_record(recipe: Recipe) -> Recipe:
    """The recipe with the views that its record has; as it is where there is no such record.

    Raises:
        RecipeError: the recipe makes other views, or more of them.
    """
    said, data = recipe.teacher, recipe.data
    if not isinstance(said, Recorded) or not replays(said, data):
        return recipe
    (path,) = said.records.values()
    manifest = read_places(find_split(Path(path), data.train))
    views = data.views or DEFAULT_VIEWS[manifest.kind]
    if views == "none" or said.clean:
        return recipe
    if not manifest.count:
        raise RecipeError(
            f"{path} has the clean examples only, and data.views is {views}; record views "
            "(--views 8), set data.views to none, or say that what the teacher said of the clean "
            "example teaches every view of it: teacher: {record: ..., clean: true}"
        )
    mine = how(data.model_copy(update={"views": views}), manifest.views["view_seed"])
    theirs = manifest.views
    other = [f"{k}: {theirs[k]} there, {v} here" for k, v in mine.items() if theirs[k] != v]
    if other:
        raise RecipeError(
            f"{path} was made of other views ({'; '.join(other)}); make data.* equal, or record "
            "these views"
        )
    if data.cycle is not None and data.cycle > manifest.count:
        raise RecipeError(
            f"data.cycle is {data.cycle} and {path} has {manifest.count} views; record more "
            f"(--views {data.cycle}), or lower data.cycle"
        )
    update = {"cycle": data.cycle or manifest.count, **mine}
    return recipe.model_copy(update={"data": data.model_copy(update=update)})


def how(data: Data, seed: int) -> dict[str, Any]:
    """How views are made of an example, as a recipe says it; `seed` where that says none."""
    said = {key: getattr(data, key) for key in VIEW_KEYS}
    return said | {"view_seed": seed if data.view_seed is None else data.view_seed}
