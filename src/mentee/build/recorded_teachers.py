"""Records as teachers of a run, made sure that they are of its examples and of what is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mentee.build.datasets import MEASURED, DatasetSplits
from mentee.distillation.objective import DistillationLoss
from mentee.errors import PairError, RecipeError
from mentee.recipe import Data, MultiRecipe, Recipe, RecordedRecipe
from mentee.records.memory import load
from mentee.records.network_record import is_network_record, open_network_record
from mentee.teachers import MultiTeacher, RecordedNetworkTeacher, RecordedTeacher, open_records
from mentee.teachers.recorded import IN_MEMORY
from mentee.teachers.teacher import Teacher
from mentee.types import CLEAN, FeatureKey


def recorded(
    said: RecordedRecipe, data: Data, splits: DatasetSplits, wanted: list[str]
) -> RecordedTeacher:
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
    records = {name: open_records(path, data.train) for name, path in said.record_folders.items()}
    for record in records.values():
        record.check(splits.whole)
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
    return RecordedTeacher(records.get("", records), splits.train, memory=memory)


def replays(said: RecordedRecipe, data: Data) -> bool:
    """Whether it is a record of the places of a network.

    Raises:
        RecipeError: it is one of several.
    """
    several = [
        name for name, path in said.record_folders.items() if is_network_record(path, data.train)
    ]
    if several and len(said.record_folders) > 1:
        raise RecipeError(
            f"teacher.record: {several[0]} is a record of a network's places, which teaches alone; "
            "name it only, or name records of embeddings"
        )
    return bool(several)


def replayed(
    said: RecordedRecipe, recipe: Recipe, splits: DatasetSplits, wanted: Sequence[str]
) -> RecordedNetworkTeacher:
    """The record of a network's places, made sure that it is of these examples.

    Raises:
        RecipeError: it has not what the method reads.
        DataError: it does not fit the examples, or is damaged.
        RunError: it does not fit into memory.
    """
    (path,) = said.record_folders.values()
    record = open_network_record(path, recipe.data.train)
    record.check(splits.train, splits.whole)
    held = {name for each in record.columns for name in each.shapes}
    numbered = {name.rpartition(".")[0] for name in held if name.rpartition(".")[2].isdigit()}
    missing = [place for place in wanted if place not in held | numbered]
    if missing:
        raise RecipeError(lacks(path, recipe.method.name, missing, sorted(held)))
    clean = said.clean or recipe.data.views == "none"
    if said.in_memory:
        views = [CLEAN] if clean else range(recipe.data.cycle or record.views)
        load(record.of_views(views), name=str(path))
    sample = splits.some(MEASURED)
    return RecordedNetworkTeacher(
        record, splits.train, clean=clean, sample=lambda: splits.clean(sample)
    )


def check_columns(criterion: DistillationLoss, teacher: Teacher | None, said: object) -> None:
    """Make sure that a record of places has what a bound method reads.

    Args:
        criterion: the bound method.
        teacher: that it reads.
        said: what the recipe says of it.

    Raises:
        PairError: a representation depends on the batch.
        RecipeError: the record has something else of a place.
    """
    for bound in criterion.bound_terms:
        whose, key, what = teacher, bound.pair.teacher, said
        if isinstance(teacher, MultiTeacher) and isinstance(said, MultiRecipe):
            whose, what = teacher.teachers[bound.term.teacher], said.teachers[bound.term.teacher]
            key = FeatureKey(tuple(teacher.whose(layer)[1] for layer in key.layers))
        if not isinstance(whose, RecordedNetworkTeacher):
            continue
        reduction = criterion.adapters_of(bound)[1].reduction
        if reduction is None:
            raise PairError(
                f"{bound.name} depends on what else is in the batch, so no record holds it; give "
                "the recipe its network as teacher"
            )
        held = {each.name for each in whose.record.columns}
        wanted = [str(key.reduced(reduction))]
        if wanted[0] not in held:
            path = getattr(what, "record", "")
            raise RecipeError(lacks(path, criterion.method.name, wanted, sorted(held)))


def lacks(path: Any, method: str, wanted: Sequence[str], held: Sequence[str]) -> str:
    """What to do where a record has not what a method reads."""
    return (
        f"the record {path} has {', '.join(held)}; method {method!r} reads {', '.join(wanted)} "
        f"too. Add it: mentee record RECIPE --out {path} --methods {method}"
    )
