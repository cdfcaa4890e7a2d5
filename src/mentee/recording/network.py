"""Run a recipe's teacher once, and keep what methods read of it: clean, and in views."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.build import networks
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.build.recorded_teachers import view_settings
from mentee.build.setup import TrainingSetup, build
from mentee.distillation.objective import DistillationLoss
from mentee.distillation.terms import Builder, blank
from mentee.errors import PairError, RecipeError
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.parallel import rank, world
from mentee.recipe import Ensemble, MethodRecipe, Network, OnlineRecipe, Recipe, online_recipe, read
from mentee.records import Estimate
from mentee.records.columns import Column, in_components, with_largest
from mentee.records.manifest import Dtype
from mentee.records.network_manifest import NetworkManifest, read_network_manifest
from mentee.records.network_record import NetworkRecord, is_network_record
from mentee.records.network_writer import carry_out, settle
from mentee.records.planning import RecordingPlan, beside, plan
from mentee.records.views import RecordingJob
from mentee.report import duration
from mentee.teachers import OnlineTeacher
from mentee.teachers.teacher import Teacher
from mentee.types import CLEAN, Batch, FeatureKey

USUAL_VIEWS = 8
MEASURED_SECONDS = 2.0


def record_network(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    out: str | Path,
    *,
    names: Sequence[str] = (),
    views: int | None = None,
    dtype: Dtype = "float16",
    batch: int = 64,
    overwrite: bool = False,
    pca: int | Mapping[str, int] | None = None,
    top_k: int | None = None,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    say: Callable[[str], None] = print,
) -> NetworkRecord:
    """Run a recipe's teacher over its training examples and their views, and keep what is read.

    Of each place that a method reads only the fixed part of its representation is kept. Training
    with `teacher: {record: OUT}` then gives what training with the live teacher gives on the same
    views. A record that is there gets what it has not: further views, what other methods read.

    Args:
        recipe: as for `train`, with a network as teacher.
        out: the folder; the training split gets a subfolder.
        names: of the methods; none: the recipe's own.
        views: how many beside the clean one; None: 8, as many as there are epochs if those are
            fewer, and none where `data.views` is `none`.
        dtype: of the numbers on disk: float32, float16, bfloat16, or int8 with a scale for each
            entry.
        batch: examples that are given to the teacher at once.
        overwrite: put it in the place of a record that is there.
        pca: keep so many principal components, fitted on clean examples, of everything but the
            logits that has more numbers; or by place or column. What is read is their sum.
        top_k: keep of the logits the k largest and the log-sum-exp of the others.
        changes: of the recipe, as for `train`.
        data: as for `train`.
        student: the same.
        teacher: the same.
        methods: the same.
        losses: the same.
        representations: the same.
        say: what to do with a line of text.

    Returns:
        The record.

    Raises:
        MenteeError: the recipe does not fit, the folder holds something else, or the disk is too
            small; said before the teacher is run.
    """
    content = read(recipe, changes)
    target = Path(out) / content.data.train
    held = next((each for each in (target, beside(target)) if is_network_record(each)), None)
    if held and not overwrite:  # new views need what is kept of the old ones
        names = [*read_network_manifest(held).methods, *(names or [content.method.name])]
        content = with_its_input(content, read_network_manifest(held))
    given = PythonOverrides(data, student, teacher, methods, losses, representations)
    recording, parts = prepare(content, given, names, views, dtype, batch)
    if top_k is not None and recording.examples.task.outputs in ("label logits", "values"):
        raise RecipeError(
            f"--top-k {top_k} keeps what completes a softmax over the classes, and an example of "
            f"{recording.examples.name} may have several, or none; leave it out"
        )
    columns = recording.columns if pca is None else in_components(recording.columns, pca)
    columns = columns if top_k is None else with_largest(columns, top_k, dtype)
    recording = replace(recording, columns=columns)
    say = say if rank() == 0 else lambda line: None
    wait = parts.accelerator.wait_for_everyone
    if rank() == 0:
        settle(target)
    wait()
    planned = plan(target, recording, overwrite=overwrite)
    say(f"{content.data.train}: {estimate(planned)}")
    began = time.monotonic()
    found = carry_out(planned, rank=rank(), world=world(), wait=wait, say=say)
    say(f"recorded in {duration(time.monotonic() - began)}: {out}")
    return found


def with_its_input(recipe: Recipe, there: NetworkManifest) -> Recipe:
    """The recipe with the input that the recorded teacher had, where it says none.

    What is not said is measured on the training examples, and those may be others by now.
    """
    said, was = recipe.teacher, online_recipe(there.teacher["network"])
    if isinstance(said, Network) and isinstance(was, Network):
        return recipe.model_copy(update={"teacher": with_input(said, was)})
    if isinstance(said, Ensemble) and isinstance(was, Ensemble):
        each = [with_input(*pair) for pair in zip(said.networks, was.networks, strict=False)]
        networks = [*each, *said.networks[len(each) :]]
        update = {"teacher": said.model_copy(update={"networks": networks})}
        return recipe.model_copy(update=update)
    return recipe


def with_input(said: Network, was: Network) -> Network:
    """The same network with the input of another one, where it says none."""
    return said if said.input is not None else said.model_copy(update={"input": was.input})


def prepare(
    recipe: Recipe,
    given: PythonOverrides,
    names: Sequence[str],
    views: int | None,
    dtype: Dtype,
    batch: int,
) -> tuple[RecordingJob, TrainingSetup]:
    """What is to be recorded for some methods, and the parts of a run of the first of them.

    Raises:
        MenteeError: the recipe has no network as teacher, or a method does not fit the pair.
    """
    if not isinstance(recipe.teacher, OnlineRecipe):
        raise RecipeError(
            "a recipe's teacher is recorded where it is a network; name one under teacher:, or "
            "record a teacher of another task with --teacher NAME"
        )
    own = recipe.method.name
    wanted = [
        recipe if name == own else recipe.model_copy(update={"method": MethodRecipe(name=name)})
        for name in dict.fromkeys(names or [own])
    ]
    every = [build(each, given) for each in wanted]
    transfers = [each.module.criterion for each in every]
    parts = every[0]
    if not isinstance(parts.teacher, OnlineTeacher):
        raise RecipeError(f"method {own!r} reads no teacher; name others with --methods")
    places = dict.fromkeys(
        name
        for criterion in transfers
        for b in criterion.bound_terms
        for name in b.pair.teacher.layers
    )
    network, contract = parts.teacher.network, parts.teacher.contract
    read = networks.layers(network, list(places), parts.splits.first(1), contract)
    reader = OnlineTeacher(network, read, contract)
    sides, columns = columns_of(transfers, {p.name: p.shape for p in reader.places})
    device = parts.accelerator.device

    keys = {each.name: FeatureKey.parse(each.place) for each in columns}

    @torch.no_grad()
    def says(some: Batch, names: Sequence[str]) -> dict[str, Tensor]:
        features = reader(some.to(device))
        return {n: sides[n].precompute(keys[n].select(features)) for n in names}

    said = parts.recipe.data
    usual = 0 if said.views == "none" else min(USUAL_VIEWS, recipe.train.epochs)
    resolved = parts.recipe.teacher or recipe.teacher
    teacher: dict[str, Any] = {
        "name": recipe.teacher.network,
        "fingerprint": reader.weights_fingerprint(),
        "network": resolved.model_dump(mode="json"),
    }
    # Of a teacher with more stages than the student only those that meet are kept: how many there
    # are says which those are for another student.
    if stages := max(stages_of(each.teacher) for each in every):
        teacher["stages"] = stages
    recording = RecordingJob(
        examples=parts.splits.train,
        whole=parts.splits.whole,
        views=parts.splits.views,
        how=view_settings(said, recipe.train.seed),
        says=says,
        columns=columns,
        teacher=teacher,
        methods=tuple(each.module.criterion.method.name for each in every),
        count=usual if views is None else views,
        dtype=dtype,
        batch=batch,
    )
    return recording, parts


def stages_of(teacher: Teacher | None) -> int:
    """How many stages a teacher has, as far as it is read there."""
    names = [place.name for place in teacher.places] if teacher else []
    return sum(re.fullmatch(r"stages\.\d+", name) is not None for name in names)


def columns_of(
    transfers: Sequence[DistillationLoss], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Any], tuple[Column, ...]]:
    """What some bound methods read of a teacher, each once: (the sides that make it, the columns).

    Raises:
        PairError: a representation depends on the batch.
    """
    sides: dict[str, Any] = {}
    columns: dict[str, Column] = {}
    for criterion in transfers:
        for bound in criterion.bound_terms:
            side = criterion.adapters_of(bound)[1]
            if side.reduction is None:
                raise PairError(
                    f"{bound.name} of {criterion.method.name!r} depends on what else is in the "
                    "batch, so it cannot be computed once and kept; read the teacher live (a "
                    "representation of your own that can be kept says so by Side.reduction)"
                )
            key = bound.pair.teacher
            name, read = str(key.reduced(side.reduction)), key.select(shapes)
            with torch.no_grad():
                shape = tuple(side.precompute(blank(read)).shape[1:])
            sides[name] = side
            columns[name] = Column(place=str(key), reduction=side.reduction, shape=shape, read=read)
    return sides, tuple(columns.values())


def estimate(planned: RecordingPlan) -> Estimate:
    """What recording will cost, measured on a few batches after a warm-up."""
    recording, sheets = planned.recording, len(planned.sheets)
    every = [planned.rows(each) for each in planned.sheets]
    n, batch = len(recording.examples), recording.batch
    rows = np.linspace(0, n - 1, min(n, 8 * batch)).astype(np.int64)
    view = 0 if recording.count else CLEAN
    columns = list({each.name: each for s in planned.sheets for each in s.columns}.values())
    columns = columns or list(recording.columns)
    recording.say(rows[:batch], view, columns)
    elapsed, sampled = 0.0, 0
    for part in np.array_split(rows, math.ceil(len(rows) / batch)):
        begin = time.perf_counter()
        recording.say(part, view, columns)
        elapsed, sampled = elapsed + time.perf_counter() - begin, sampled + len(part)
        if elapsed >= MEASURED_SECONDS:
            break
    minutes = elapsed / sampled * sum(every) / 60 / min(world(), max(sheets, 1))
    # Where new views come with new examples, the views are of several numbers of examples.
    alike = len(set(every)) == 1
    rows_of, views = (every[0], sheets) if alike else (sum(every), 1)
    size, units = planned.bytes / 1e6, recording.examples.modality.units
    return Estimate(rows_of, units, size, minutes, sampled, views=views)
