"""Whether a record still is what its teacher computes: checksums, and a sample read live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.distillation.terms import Builder
from mentee.errors import DataError, RecipeError
from mentee.files import located
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.recipe import Recipe, online_recipe, read
from mentee.recording.embedders import embedder_job
from mentee.recording.networks import network_job, with_its_input
from mentee.recording.sources import open_as
from mentee.records import Record
from mentee.records.folders import splits_of
from mentee.records.integrity import forget_checksums
from mentee.records.manifest import has_manifest
from mentee.records.plan import RecordingJob
from mentee.teachers.pretrained import Embedder, find_embedder
from mentee.types import CLEAN
from mentee.urls import Url


@dataclass(frozen=True)
class Verified:
    """How a record compares with its teacher, read live on a sample.

    Attributes:
        examples: how many.
        views: which.
        cosine: by column, or by split of an embedder, the worst of any example in any view.
    """

    examples: int
    views: tuple[int, ...]
    cosine: dict[str, float]

    def __str__(self) -> str:
        worst = "\n".join(f"{name:<32}{value:.6f}" for name, value in self.cosine.items())
        names = ", ".join("clean" if view == CLEAN else f"view {view}" for view in self.views)
        return f"worst cosine of {self.examples:,} examples ({names})\n{worst}"


def verify(
    path: str | Path | Url,
    source: Any = None,
    *,
    sample: int = 64,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | str | Embedder | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    options: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Verified:
    """Compare a record with its teacher: every file's checksum, and a sample read live.

    Args:
        path: the record, or the folder of several splits.
        source: of a recipe's network the recipe that it was made for, whose teacher may be the
            record itself; of an embedder the data, None: as they were named when it was recorded.
        sample: how many examples, evenly spaced; of a network each clean, in the first and in the
            last view; of an embedder of each split.
        changes: of the recipe.
        data: as for `train`, with a recipe.
        student: the same.
        teacher: the same; without a recipe the embedder, None: as it was named.
        methods: the same.
        losses: the same.
        representations: the same.
        options: of the embedder, where it is named here.
        reading: as for `record`, where the data are named here.

    Returns:
        The worst cosine by column; of an embedder by split, of time frames that of any frame.

    Raises:
        DataError: a file is damaged, the examples are others, or the teacher is another one, or
            is not known.
        RecipeError: the record is of a recipe's network, and no recipe is named.
    """
    folder = located(path)
    forget_checksums()
    splits = [folder] if has_manifest(folder) else splits_of(folder)
    if not splits:
        raise DataError(f"{folder} has no record; write one with `mentee record`")
    worst, count = {}, 0
    for each in splits:
        record = Record.open(each, verify=True)
        if record.manifest.network is not None:
            if source is None:
                raise RecipeError(
                    f"{folder} is a record of a recipe's network; name the recipe that it was made "
                    "for: mentee record verify FOLDER RECIPE"
                )
            passed: Any = (data, student, teacher, methods, losses, representations)
            overrides = PythonOverrides(*passed)
            return compare(record, _network_job(record, read(source, changes), overrides), sample)
        split, job = _embedder_job(record, source, teacher, options, reading)
        verified = compare(record, job, sample)
        worst[split], count = min(verified.cosine.values()), count + verified.examples
    return Verified(count, (CLEAN,), worst)


def compare(record: Record, job: RecordingJob, sample: int) -> Verified:
    """The worst cosine of what is stored of some examples and what their teacher computes of them.

    Raises:
        DataError: the examples are others, or the teacher is.
    """
    manifest = record.manifest
    record.check(job.examples)
    job = job.following(record.folder, manifest)
    held = {each.name: each for each in record.columns}
    other = job.differences_from(manifest) or "; ".join(
        f"it has {', '.join(held)}, and {each.name} {list(each.shape)} is read here"
        for each in job.columns
        if each.name not in held or held[each.name].shape != each.shape
    )
    if other:
        raise DataError(
            f"{record.folder} cannot be compared, it is of something else: {other}. Name the "
            "recipe, or the teacher and its options, that it was recorded with"
        )
    rows = np.unique(np.linspace(0, len(record) - 1, min(len(record), sample)).astype(np.int64))
    views = tuple(dict.fromkeys([CLEAN, *([0, record.views - 1] if record.views else [])]))
    worst = {each.name: 1.0 for each in job.columns}
    for view in views:
        stored = record.read(rows, view)
        live = torch.from_numpy(job.numbers(rows, view, job.columns))
        parts = live.split([each.size for each in job.columns], dim=1)  # type: ignore[no-untyped-call]
        for each, part in zip(job.columns, parts, strict=True):
            vectors = part.reshape(len(rows), *each.shape)
            first = 2 if each.layer == "frames" else 1  # each frame is a vector
            pair = (x.flatten(first) for x in (stored[each.name], vectors))
            worst[each.name] = min(worst[each.name], worst_cosine(*pair))
    return Verified(len(rows), views, worst)


def _network_job(record: Record, recipe: Recipe, overrides: PythonOverrides) -> RecordingJob:
    """What the network of a recipe computes at the layers of its record."""
    manifest = record.manifest
    if overrides.teacher is None and recipe.teacher is not None:
        live = recipe.teacher.live(online_recipe(manifest.teacher["network"]))
        recipe = recipe.model_copy(update={"teacher": live})
    recipe = with_its_input(recipe, manifest)
    data = recipe.data.model_copy(update={"view_seed": manifest.views.get("view_seed")})
    recipe = recipe.model_copy(update={"data": data})
    names, count = manifest.methods, manifest.count
    return network_job(recipe, overrides, names, count, manifest.dtype, batch=64)


def _embedder_job(
    record: Record,
    data: Any,
    teacher: Any,
    options: Mapping[str, Any] | None,
    reading: Mapping[str, Any] | None,
) -> tuple[str, RecordingJob]:
    """The split of an embedder's record, and what the embedder computes of it."""
    manifest = record.manifest
    requested = manifest.teacher.get("requested", {})
    if not requested and (data is None or teacher is None):
        raise DataError(
            f"every file of {record.folder} is as it was written, but it does not say which "
            "teacher and data it is of: they were passed from Python, or imported. Name them: "
            "mentee record verify FOLDER DATA --teacher NAME"
        )
    if teacher is None:
        teacher, options = requested["teacher"], requested["options"]
    embedder = find_embedder(teacher, **(options or {})) if isinstance(teacher, str) else teacher
    was, now = manifest.teacher.get("fingerprint"), embedder.fingerprint()
    if was not in (None, now):
        raise DataError(
            f"{record.folder} is of another teacher: {was} there, {embedder.name} is {now}"
        )
    if data is None:
        data, reading = requested["data"], requested["reading"]
    split = requested.get("split", record.folder.name)
    examples = open_as(embedder, data, split, reading, manifest.data.get("seconds"))
    job = embedder_job(
        embedder,
        examples,
        frames=record.vector.layer == "frames",
        dtype=manifest.dtype,
        batch=64,
    )
    description = dict(manifest.teacher)  # the rest of which is compared above, where it can be
    if description.get("contract") is not None:
        description["contract"] = job.teacher["contract"]
    return split, replace(job, teacher=description)


def worst_cosine(stored: Tensor, live: Tensor) -> float:
    """The smallest cosine of two vectors `[..., d]`; of equal ones, zeros too, 1."""
    cosine = F.cosine_similarity(stored, live, dim=-1, eps=1e-12)
    return float(cosine.where(~(stored == live).all(-1), 1.0).min())
