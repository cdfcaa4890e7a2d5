"""Record the features that methods read of a recipe's network, for clean examples and views."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mentee.build import networks
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.build.setup import TrainingSetup, build
from mentee.build.view_settings import recorded_interpolation, view_settings
from mentee.console import print_line
from mentee.data import Examples, read_batch
from mentee.distillation.objective import DistillationLoss
from mentee.distillation.terms import Builder, blank
from mentee.errors import PairError, RecipeError
from mentee.evaluation.teacher_check import check_for_record, save_check
from mentee.files import located
from mentee.locks import folder_lock
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.parallel import init_processes, rank
from mentee.recipe import MethodRecipe, Network, Recipe, online_recipe, read
from mentee.records import Manifest, Record, estimate
from mentee.records.columns import Column, Dtype, with_components, with_largest
from mentee.records.folders import refuse_others, settle
from mentee.records.manifest import has_manifest, read_manifest
from mentee.records.plan import RecordingJob, plan_recording
from mentee.records.repair import repair_record
from mentee.records.writer import carry_out
from mentee.report import RowProgress, duration
from mentee.runs.changes import refuse_other_kind
from mentee.teachers import OnlineTeacher
from mentee.teachers.teacher import Teacher
from mentee.types import FeatureKey
from mentee.urls import Url

USUAL_VIEWS = 8
MOST_VIEWS = 10_000


def record_network(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    out: str | Path | Url,
    *,
    names: Sequence[str] = (),
    views: int | None = None,
    dtype: Dtype = "float16",
    batch: int = 64,
    overwrite: bool = False,
    repair: bool = False,
    pca: int | Mapping[str, int] | None = None,
    top_k: int | None = None,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    say: Callable[[str], None] = print_line,
    inspect: bool = True,
) -> Record:
    """Record a recipe's teacher on its training examples and their views.

    Of each layer that a method reads only the fixed part of its representation is stored. Training
    with `teacher: {record: OUT}` then gives what training with the live teacher gives on the same
    views. A record that is there gets what it has not: further views, what other methods read.

    Args:
        recipe: as for `train`, with a network as teacher.
        out: the folder; the training split gets a subfolder.
        names: of the methods; none: the recipe's own.
        views: how many, without the clean one; None: 8, as many as there are epochs if those are
            fewer, and none where `data.views` is `none`.
        dtype: of the numbers on disk: float32, float16, bfloat16, or int8 with a scale for each
            entry.
        batch: examples that are given to the teacher at once.
        overwrite: replace a record that is there.
        repair: record only what is damaged of the record that is there.
        pca: store so many principal components, fitted on clean examples, of everything but the
            logits that has more numbers; or by layer or column. What is read is their sum.
        top_k: store of the logits the k largest and the log-sum-exp of the others.
        changes: of the recipe, as for `train`.
        data: as for `train`.
        student: the same.
        teacher: the same.
        methods: the same.
        losses: the same.
        representations: the same.
        say: what to do with a line of text.
        inspect: read all examples once before, and tell what was found.

    Returns:
        The record.

    Raises:
        MenteeError: the recipe does not fit, the folder holds something else, or the disk is too
            small; raised before the teacher is run.
    """
    if views is not None and not 0 <= views <= MOST_VIEWS:
        raise RecipeError(f"{views:,} views to record; expected 0 to {MOST_VIEWS:,}")
    content = read(recipe, changes)
    target = located(out) / content.data.train
    refuse_other_kind(located(out), "record")
    init_processes()
    with folder_lock(target, beside=True):
        settle(target)
        if repair:
            refuse_others(target, overwrite=overwrite, repair=True)
        if has_manifest(target) and not overwrite:  # new views need what is stored of the old ones
            base = read_manifest(target)
            names = [*base.methods, *(names or [content.method.name])]
            content = with_its_input(content, base)
        overrides = PythonOverrides(data, student, teacher, methods, losses, representations)
        content, say = overrides.mark(content), say if rank() == 0 else lambda line: None
        setups = build_setups(content, overrides, names, say if inspect else None)
        job = job_of(content, setups, views, dtype, batch)
        if top_k is not None and job.examples.task.outputs in ("label logits", "values"):
            raise RecipeError(
                f"--top-k {top_k} keeps what completes a softmax over the classes, and an example "
                f"of {job.examples.name} may have several, or none; leave it out"
            )
        columns = job.columns if pca is None else with_components(job.columns, pca)
        columns = columns if top_k is None else with_largest(columns, top_k, dtype)
        job = replace(job, columns=columns)
        if repair:
            return repair_record(target, job, say=say)
        plan = plan_recording(target, job, overwrite=overwrite)
        cost = estimate(plan) if plan.computed else "all that the methods read is recorded already"
        say(f"{content.data.train}: {cost}")
        check = check_for_record(setups[0], target, say)
        began = time.monotonic()
        made = carry_out(plan, say=say, progress=RowProgress(say))
        save_check(check, target)
    if plan.computed:
        say(f"recorded in {duration(time.monotonic() - began)}: {out}")
    return made


def with_its_input(recipe: Recipe, base: Manifest) -> Recipe:
    """The recipe with the input that the recorded teacher had, where it has none.

    What a recipe leaves out is measured on the training examples, and those may be others by now.
    """
    if base.network is None:
        return recipe
    teacher, recorded = recipe.teacher, online_recipe(base.network)
    if teacher is None or type(teacher.online) is not type(recorded):
        return recipe
    others = iter(recorded.each_network)

    def with_input(network: Network) -> Network:
        other = next(others, network)  # an ensemble may have more networks by now
        input = other.input if network.input is None else network.input
        return network.model_copy(update={"input": input})

    data = recorded_interpolation(recipe.data, base)
    return recipe.model_copy(update={"teacher": teacher.with_networks(with_input), "data": data})


def network_job(
    recipe: Recipe,
    overrides: PythonOverrides,
    names: Sequence[str],
    views: int | None,
    dtype: Dtype,
    batch: int,
    say: Callable[[str], None] | None = None,
) -> RecordingJob:
    """What is recorded of a recipe's network for some methods.

    Raises:
        MenteeError: the recipe has no network as teacher, or a method does not fit the pair.
    """
    recipe = overrides.mark(recipe)
    return job_of(recipe, build_setups(recipe, overrides, names), views, dtype, batch)


def build_setups(
    recipe: Recipe,
    overrides: PythonOverrides,
    names: Sequence[str],
    say: Callable[[str], None] | None = None,
) -> list[TrainingSetup]:
    """The student and the network, bound by each method, or the recipe's own, that is recorded.

    Raises:
        MenteeError: the recipe has no network as teacher, or a method does not fit the pair.
    """
    if recipe.online_teacher is None:
        raise RecipeError(
            "a recipe's teacher is recorded where it is a network; name one under teacher:, or "
            "record a teacher of another task with --teacher NAME"
        )
    own = recipe.method.name
    recipes = [
        recipe if name == own else recipe.model_copy(update={"method": MethodRecipe(name=name)})
        for name in dict.fromkeys(names or [own])
    ]
    setups = [build(each, overrides, None if i else say) for i, each in enumerate(recipes)]
    if not setups[0].online_teachers:
        raise RecipeError(f"method {own!r} reads no teacher; name others with --methods")
    return setups


def job_of(
    recipe: Recipe,
    setups: Sequence[TrainingSetup],
    views: int | None,
    dtype: Dtype,
    batch: int,
) -> RecordingJob:
    """What is recorded for some methods, from `build_setups`."""
    criteria = [each.module.criterion for each in setups]
    setup = setups[0]
    teacher, online = setup.online_teachers[""]
    layers = dict.fromkeys(
        name
        for each in criteria
        for bound in each.bound_terms
        for name in bound.pair.teacher.layers
    )
    network, contract = teacher.network, teacher.contract
    resolved = networks.layers(network, list(layers), setup.splits.first(1), contract)
    reader = OnlineTeacher(network, resolved, contract)
    adapters, columns = columns_of(criteria, {each.name: each.shape for each in reader.layers})
    device = setup.accelerator.device

    @torch.no_grad()
    def compute(
        examples: Examples, rows: npt.NDArray[np.int64], view: int, columns: Sequence[Column]
    ) -> npt.NDArray[np.float32]:
        inputs = read_batch(examples, rows, views=setup.splits.views, view=view)
        features = reader(inputs.to(device))
        outputs = [
            adapters[c.name].precompute(FeatureKey.parse(c.layer).select(features)) for c in columns
        ]
        parts = [each.detach().float().cpu().flatten(1) for each in outputs]
        numbers: npt.NDArray[np.float32] = torch.cat(parts, 1).numpy()
        return numbers

    data = setup.recipe.data
    usual = 0 if data.views == "none" else min(USUAL_VIEWS, recipe.train.epochs)
    description: dict[str, Any] = {
        "name": online.network,
        "fingerprint": reader.weights_fingerprint(),
        "network": (setup.recipe.teacher or online).model_dump(mode="json"),
    }
    # Of a teacher with more stages than the student only those that are paired are stored: how
    # many there are tells which those are for another student.
    if stages := max(stages_of(each.teacher) for each in setups):
        description["stages"] = stages
    return RecordingJob(
        examples=setup.splits.train,
        whole=setup.splits.whole,
        read=compute,
        columns=columns,
        teacher=description,
        dtype=dtype,
        batch=batch,
        views=view_settings(data, recipe.train.seed),
        count=usual if views is None else views,
        methods=tuple(each.method.name for each in criteria),
    )


def stages_of(teacher: Teacher | None) -> int:
    """How many stages a teacher has, as far as it is read there."""
    names = [each.name for each in teacher.layers] if teacher else []
    return sum(re.fullmatch(r"stages\.\d+", name) is not None for name in names)


def columns_of(
    criteria: Sequence[DistillationLoss], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Any], tuple[Column, ...]]:
    """What some bound methods read of a teacher, each once: the adapters by column, the columns.

    Raises:
        PairError: a representation depends on the batch.
    """
    adapters: dict[str, Any] = {}
    columns: dict[str, Column] = {}
    for loss in criteria:
        for bound in loss.bound_terms:
            adapter = loss.adapters_of(bound)[1]
            if adapter.reduction is None:
                raise PairError(
                    f"{bound.name} of {loss.method.name!r} depends on what else is in the "
                    "batch, so it cannot be computed once and stored; read the teacher live (a "
                    "representation of your own that can be stored has an Adapter.reduction)"
                )
            key = bound.pair.teacher
            name, layer_shape = str(key.reduced(adapter.reduction)), key.select(shapes)
            with torch.no_grad():
                shape = tuple(adapter.precompute(blank(layer_shape)).shape[1:])
            adapters[name] = adapter
            columns[name] = Column(
                layer=str(key),
                reduction=adapter.reduction,
                shape=shape,
                layer_shape=layer_shape,
            )
    return adapters, tuple(columns.values())
