"""Similarity of a student's embedding to each of several teachers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mentee.build import networks
from mentee.build.setup import TrainingSetup
from mentee.data import Examples
from mentee.errors import MenteeError
from mentee.evaluation.predictions import collect_features, in_order
from mentee.evaluation.student_reader import StudentReader
from mentee.metrics import explained_variance, linear_cka, shared_neighbors
from mentee.recipe import Domain
from mentee.representations.pooled import averaged
from mentee.teachers.teacher import Teacher
from mentee.types import Batch

SAMPLE = 2000
"""The most examples that are compared."""


def teacher_similarities(parts: TrainingSetup, reader: StudentReader) -> dict[str, dict[str, Any]]:
    """The similarity of the student's embedding to each of several teachers; empty for one.

    Measured on the test part, else on the validation part, else, and where a record lacks it, on
    training examples; the reader notes which results are missing.

    Returns:
        By teacher `part`, `examples`, and the three measures: `similarity` (linear CKA),
        `explained` (R² of the best linear map to the teacher) and `neighbors` (share in common).
    """
    own: dict[str, Tensor] = {}
    teachers = [] if parts.teacher is None else parts.kind.compared(parts.teacher)
    results = {name: compare(name, each, key, parts, reader, own) for name, each, key in teachers}
    return {name: each for name, each in results.items() if each is not None}


def compare(
    name: str,
    teacher: Teacher,
    key: str,
    parts: TrainingSetup,
    reader: StudentReader,
    own: dict[str, Tensor],
) -> dict[str, Any] | None:
    """The three measures for one teacher; None, with a note, where there is an error.

    `own` caches the student's embedding of each part, for the next teacher.
    """
    try:
        part, examples, target = vectors(name, teacher, key, parts, reader)
        if part not in own:
            own[part] = averaged(reader.features(examples, "embedding")["embedding"])
    except MenteeError as error:
        reader.note(f"teacher {name} is not compared with the student: {error}")
        return None
    embedding = own[part]
    return {
        "part": part,
        "examples": len(examples),
        "similarity": linear_cka(embedding, target),
        "explained": explained_variance(embedding, target),
        "neighbors": shared_neighbors(embedding, target),
    }


def vectors(
    name: str, teacher: Teacher, key: str, parts: TrainingSetup, reader: StudentReader
) -> tuple[str, Examples, Tensor]:
    """The part that is compared, some of its examples, and a teacher's vectors of them.

    Raises:
        MenteeError: it has no such layer.
    """
    splits = parts.splits
    held = {"test": splits.test, "validation": splits.validation, "train": splits.train}
    part, examples = next((p, e.spaced(SAMPLE)) for p, e in held.items() if e is not None)
    if name in parts.online_teachers:
        online, _ = parts.online_teachers[name]
        layers = networks.layers(online.network, [key], splits.first(2), online.contract)
        clean, device = splits.clean(examples), parts.accelerator.device
        features = collect_features(online.network, layers, online.contract, clean, device)
        return part, examples, averaged(features[key])
    record = reader.records("test", Domain(), splits.test).get(name) if splits.test else None
    if record is not None:
        return part, examples, averaged(record.of(examples.keys))
    examples = splits.train.spaced(SAMPLE)
    return "train", examples, averaged(replayed(teacher, key, splits.clean(examples)))


def replayed(teacher: Teacher, key: str, batches: Iterable[Batch]) -> Tensor:
    """A record's vectors of training examples, in their order.

    Raises:
        MenteeError: it has no vector of each.
    """
    rows, outputs = list[Tensor](), list[Tensor]()
    for batch in batches:
        features = teacher(batch)
        names = [each for each in (key, f"{key} | mean", "frames") if each in features]
        if not names:
            raise MenteeError(f"its record has {', '.join(features)}, and no {key}")
        rows.append(batch.rows)
        outputs.append(features[names[0]].float().cpu())
    return in_order(rows, {key: torch.cat(outputs)} if outputs else {})[key]
