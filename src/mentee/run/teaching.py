"""The teacher of a run: a network that is read live, or what one said once and for all."""

from __future__ import annotations

import math

from mentee.errors import RecipeError
from mentee.recipe import Data, Recipe, Recorded
from mentee.run import networks
from mentee.run.networks import Given
from mentee.run.sets import MEASURED, Sets
from mentee.teachers import LiveTeacher, RecordedTeacher, open_records
from mentee.teachers.teacher import Teacher
from mentee.types import Batch


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
        return recorded(said, recipe.data, sets, wanted)
    if said.weights is None and given.teacher is None and not said.options:
        raise RecipeError(
            f"teacher {said.network} has no weights, and a teacher that has learned "
            "nothing teaches nothing; give teacher.weights a file (or a timm network "
            "options: {pretrained: true})"
        )
    input = networks.contract(said)
    network = networks.build(said, given.teacher, sets, seed=recipe.train.seed)
    places = networks.places(network, wanted, batch, input)
    return LiveTeacher(network, places, input, sample=lambda: sets.clean(sets.some(MEASURED)))


def recorded(said: Recorded, data: Data, sets: Sets, wanted: list[str]) -> RecordedTeacher:
    """The records of the training split, made sure that they are of these examples.

    Raises:
        RecipeError: what was recorded is not what the student will read.
        DataError: a record does not fit the examples, or is damaged.
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
    return RecordedTeacher(records.get("", records), sets.train)
