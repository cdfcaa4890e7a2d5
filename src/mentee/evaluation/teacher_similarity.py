"""What a student kept of each of several teachers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mentee.build import networks
from mentee.build.setup import TrainingSetup
from mentee.data import Examples
from mentee.errors import MenteeError
from mentee.evaluation.monitor import pooled
from mentee.evaluation.predict import collect_features, in_order
from mentee.evaluation.student_reader import StudentReader
from mentee.metrics import explained_variance, linear_cka, shared_neighbors
from mentee.recipe import Domain, Ensemble, MultiRecipe
from mentee.teachers import MultiTeacher, OnlineTeacher, RecordedTeacher
from mentee.teachers.teacher import Teacher
from mentee.types import Batch

SAMPLE = 2000
"""Examples that are compared, at most."""


def teacher_similarities(parts: TrainingSetup, reader: StudentReader) -> dict[str, dict[str, Any]]:
    """How like each of several teachers the student's embedding is; empty where there is one.

    On the test part, or on the validation part where there is none, or else, and where a record has
    nothing of it, on training examples.

    Args:
        parts: what the run is made of.
        reader: of the student; notes what could not be told.

    Returns:
        By teacher `part`, `examples`, and the three measures: `similarity` (linear CKA),
        `explained` (R² of the best linear map to the teacher) and `neighbors` (share in common).
    """
    own: dict[str, Tensor] = {}
    found = {
        name: compared(name, each, key, parts, reader, own) for name, each, key in asked(parts)
    }
    return {name: each for name, each in found.items() if each is not None}


def asked(parts: TrainingSetup) -> Iterable[tuple[str, Teacher, str]]:
    """Each of several teachers: its name, itself, and the place that is looked at."""
    teacher, said = parts.teacher, parts.recipe.teacher
    if isinstance(teacher, MultiTeacher) and isinstance(said, MultiRecipe):
        for name, each in teacher.teachers.items():
            ensemble = isinstance(said.teachers[name], Ensemble)
            yield name, each, "logits" if ensemble else "embedding"
    elif isinstance(teacher, RecordedTeacher) and len(teacher.records) > 1:
        for place in teacher.layers:
            yield place.name.partition(".")[2], teacher, place.name


def compared(
    name: str,
    teacher: Teacher,
    key: str,
    parts: TrainingSetup,
    reader: StudentReader,
    own: dict[str, Tensor],
) -> dict[str, Any] | None:
    """The three measures for one teacher; None, with a note, where they cannot be told.

    `own` keeps what the student says of a part, for the next teacher.
    """
    try:
        part, examples, theirs = vectors(name, teacher, key, parts, reader)
        if part not in own:
            own[part] = pooled(reader.said(examples, "embedding")["embedding"])
    except MenteeError as error:
        reader.note(f"what was kept of teacher {name} cannot be told: {error}")
        return None
    mine = own[part]
    return {
        "part": part,
        "examples": len(examples),
        "similarity": linear_cka(mine, theirs),
        "explained": explained_variance(mine, theirs),
        "neighbors": shared_neighbors(mine, theirs),
    }


def vectors(
    name: str, teacher: Teacher, key: str, parts: TrainingSetup, reader: StudentReader
) -> tuple[str, Examples, Tensor]:
    """The part that is looked at, some of its examples, and what a teacher says of them.

    Raises:
        MenteeError: it says nothing of any part.
    """
    splits = parts.splits
    held = {"test": splits.test, "validation": splits.validation, "train": splits.train}
    part, examples = next((p, e.spaced(SAMPLE)) for p, e in held.items() if e is not None)
    if isinstance(teacher, OnlineTeacher):
        places = networks.layers(teacher.network, [key], splits.first(2), teacher.contract)
        clean, device = splits.clean(examples), parts.accelerator.device
        said = collect_features(teacher.network, places, teacher.contract, clean, device)
        return part, examples, pooled(said[key])
    record = reader.records("test", Domain(), splits.test).get(name) if splits.test else None
    if record is not None:
        return part, examples, pooled(record.of(examples.keys))
    examples = splits.train.spaced(SAMPLE)
    return "train", examples, pooled(replayed(teacher, key, splits.clean(examples)))


def replayed(teacher: Teacher, key: str, batches: Iterable[Batch]) -> Tensor:
    """What a record has of training examples, in their order.

    Raises:
        MenteeError: it has no vector of each.
    """
    rows, said = list[Tensor](), list[Tensor]()
    for batch in batches:
        features = teacher(batch)
        names = [each for each in (key, f"{key} | mean", "frames") if each in features]
        if not names:
            raise MenteeError(f"its record has {', '.join(features)}, and no {key}")
        rows.append(batch.rows)
        said.append(features[names[0]].float().cpu())
    return in_order(rows, {key: torch.cat(said)} if said else {})[key]
