"""Records as teachers: checked against the examples, their views, and the layers that are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from mentee.build import networks
from mentee.build.classifier_reuse import Classifier, find_classifier
from mentee.build.datasets import MEASURED
from mentee.build.outputs import probabilities
from mentee.build.teacher_kind import TeacherKind, TeacherRequest
from mentee.build.view_settings import recorded_interpolation, view_settings
from mentee.data.modality import find_modality
from mentee.distillation.layer_pairs import with_teachers
from mentee.distillation.objective import DistillationLoss
from mentee.distillation.terms import blank
from mentee.errors import MenteeError, PairError, RecipeError
from mentee.methods import Method
from mentee.models import Contract
from mentee.recipe import Data, RecordedRecipe, online_recipe
from mentee.records import Manifest, Record, open_record
from mentee.records.folders import find_split, is_network_record
from mentee.records.joined import open_record_of
from mentee.records.manifest import read_manifest
from mentee.records.stored_rows import load_rows
from mentee.tasks import Task
from mentee.teachers import OnlineTeacher, RecordedTeacher
from mentee.teachers.recorded import IN_MEMORY
from mentee.teachers.teacher import Teacher
from mentee.types import CLEAN, FeatureKey

SAMPLE = 256
"""Examples whose recorded logits are looked at."""

NO_VIEWS = (
    "set data.views to none, or use its outputs for the clean example as targets for every view "
    "of it: teacher: {record: ..., clean: true}"
)


def recorded_kind(recipe: RecordedRecipe, data: Data) -> TeacherKind:
    """The kind of a recorded teacher: one network's layers, or embeddings.

    Raises:
        RecipeError: a record of a network's layers is one of several.
        DataError: a folder holds no record of the training split.
    """
    folders = recipe.record_folders
    for path in folders.values():
        find_split(path, data.train)  # it is there, whether a method reads it or not
    layers = [name for name, path in folders.items() if is_network_record(path, data.train)]
    if layers and len(folders) > 1:
        raise RecipeError(
            f"teacher.record: {layers[0]} is a record of a network's layers, which is used alone; "
            "name it only, or name records of embeddings"
        )
    return RecordedNetworkKind(recipe, data) if layers else RecordedEmbeddingsKind(recipe)


class RecordedEmbeddingsKind(TeacherKind):
    """Records of embeddings, one for each teacher."""

    recipe: RecordedRecipe

    def method(self, method: Method, methods: Mapping[str, Method], labels: bool) -> Method:
        """The method's terms once for each record."""
        folders = self.recipe.record_folders
        return with_teachers(method, {name: 1 / len(folders) for name in folders})

    def build(self, request: TeacherRequest) -> RecordedTeacher:
        """The records of the training split, checked against its examples."""
        recipe, data, splits = self.recipe, request.recipe.data, request.splits
        frames = any(layer.startswith("frames") for layer in request.layers)
        shifted = frames and data.views in ("shift", "mask")
        if shifted or (data.views != "none" and not recipe.clean):
            raise RecipeError(
                f"the record is of the clean examples, and data.views is {data.views}; "
                + (
                    "its time frames do not fit a clip that is moved: set data.views to none"
                    if shifted
                    else NO_VIEWS
                )
            )
        folders = recipe.record_folders
        records = {
            name: open_record_of(path, data.train, splits.train) for name, path in folders.items()
        }
        for record in records.values():
            record.check(splits.whole, splits.train)
            seconds = record.manifest.data.get("seconds")
            differs = seconds is not None and not math.isclose(
                float(seconds), data.seconds or 0.0, abs_tol=1e-3
            )
            if record.vector.layer == "frames" and differs:
                raise RecipeError(
                    f"{record.folder} has the time frames of {seconds} seconds, and data.seconds "
                    f"is {data.seconds}; make them equal"
                )
        if recipe.in_memory:
            parts = [part for record in records.values() for part in record.of_views([CLEAN])]
            load_rows(parts, name="what was recorded")
        memory = 0 if recipe.in_memory else IN_MEMORY  # nothing is in memory twice
        return RecordedTeacher(records.get("", records), splits.train, memory=memory)

    def records(self, teacher: Teacher | None) -> list[RecordedTeacher]:
        """Itself."""
        return [] if teacher is None else [cast(RecordedTeacher, teacher)]

    def compared(self, teacher: Teacher) -> list[tuple[str, Teacher, str]]:
        """Each of several records."""
        names = [each.name for each in teacher.layers]
        return [(name.partition(".")[2], teacher, name) for name in names if len(names) > 1]

    def describe(self, data: Data) -> str:
        """Of which view the outputs are."""
        if data.views == "none":
            return "clean"
        return "clean for every view" if self.recipe.clean else f"views={data.cycle}"


class RecordedNetworkKind(RecordedEmbeddingsKind):
    """A record of a network's layers, for the clean examples and for views of them."""

    def __init__(self, recipe: RecordedRecipe, data: Data) -> None:
        super().__init__(recipe)
        (self.folder,) = recipe.record_folders.values()
        self.split = data.train

    def manifest(self) -> Manifest:
        """The record's manifest."""
        return read_manifest(find_split(self.folder, self.split))

    def views(self, data: Data) -> Data:
        """The views that the record has."""
        manifest = self.manifest()
        data = recorded_interpolation(data, manifest)
        views = data.views or find_modality(manifest.kind).default_views
        if views == "none" or self.recipe.clean:
            return data
        if not manifest.count:
            raise RecipeError(
                f"{self.folder} has the clean examples only, and data.views is {views}; record "
                f"views (--views 8), {NO_VIEWS}"
            )
        recorded = manifest.views
        seed = recorded.get("view_seed", 0)
        settings = view_settings(data.model_copy(update={"views": views}), seed)
        other = [
            f"{k}: {recorded.get(k)} there, {settings.get(k)} here"
            for k in {**settings, "interpolation": None}
            if recorded.get(k) != settings.get(k)
        ]
        if other:
            raise RecipeError(
                f"{self.folder} was made of other views ({'; '.join(other)}); make data.* equal, "
                "or record these views"
            )
        if data.cycle is not None and data.cycle > manifest.count:
            raise RecipeError(
                f"data.cycle is {data.cycle} and {self.folder} has {manifest.count} views; record "
                f"more (--views {data.cycle}), or lower data.cycle"
            )
        return data.model_copy(update={"cycle": data.cycle or manifest.count, **settings})

    def classes(self) -> int:
        """How many outputs the recorded network has."""
        return online_recipe(self.manifest().teacher["network"]).classes or 1

    def build(self, request: TeacherRequest) -> RecordedTeacher:
        """The record, checked against the examples and the layers that are read."""
        data, splits = request.recipe.data, request.splits
        record = open_record(self.folder, data.train)
        record.check(splits.train, splits.whole)
        refuse_probabilities(record, self.folder, splits.train.task)
        if request.source is not None:
            self._recorded_network(record, request)
        held = {name for each in record.columns for name in each.shapes}
        numbered = {name.rpartition(".")[0] for name in held if name.rpartition(".")[2].isdigit()}
        missing = [layer for layer in request.layers if layer not in held | numbered]
        if missing:
            raise RecipeError(lacks(self.folder, request.method, missing, sorted(held)))
        clean = self.recipe.clean or data.views == "none"
        if self.recipe.in_memory:
            views = [CLEAN] if clean else range(data.cycle or record.views)
            load_rows(record.of_views(views), name=str(self.folder))
        memory = 0 if self.recipe.in_memory else IN_MEMORY  # nothing is in memory twice
        measured = splits.some(MEASURED)
        return RecordedTeacher(record, splits.train, clean=clean, measured=measured, memory=memory)

    def check_term(
        self, teacher: Teacher, loss: DistillationLoss, bound: Any, key: FeatureKey
    ) -> None:
        """Make sure that the record has what a term reads."""
        adapter = loss.adapters_of(bound)[1]
        if adapter.reduction is None:
            raise PairError(
                f"{bound.name} depends on what else is in the batch, so no record holds it; give "
                "the recipe its network as teacher"
            )
        columns = {each.name: each for each in cast(RecordedTeacher, teacher).record.columns}
        name = str(key.reduced(adapter.reduction))
        if name not in columns:
            raise RecipeError(lacks(self.folder, loss.method.name, [name], sorted(columns)))
        with torch.no_grad():
            shape = adapter.precompute(blank(columns[name].layer_shape)).shape[1:]
        if tuple(shape) != columns[name].shape:
            raise PairError(
                f"{self.folder} has {name} as {list(columns[name].shape)}, and {bound.name} reads "
                f"{list(shape)}; record it again (--overwrite)"
            )

    def classifier(
        self, teacher: Teacher | None, request: TeacherRequest, layer: str
    ) -> Classifier:
        """The classifier of the network that was recorded, which is built for that."""
        record = cast(RecordedTeacher, teacher).record
        try:
            network, contract = self._recorded_network(record, request)
        except MenteeError as error:
            raise PairError(
                f"method {request.method!r} reuses the classifier of the network that "
                f"{record.folder} was recorded of, and it cannot be had ({error}); put it back "
                "where it was, or give the recipe the network as teacher"
            ) from error
        return find_classifier(network, contract, request.batch, layer)

    def _recorded_network(
        self, record: Record, request: TeacherRequest
    ) -> tuple[nn.Module, Contract]:
        """The network that was recorded, by its recipe or as it was passed from Python."""
        recorded = record.manifest.teacher
        recipe, seed = online_recipe(recorded["network"]), request.recipe.train.seed
        network, contract = networks.build_teacher(
            recipe, request.source, request.splits, seed=seed
        )
        if OnlineTeacher(network, (), contract).weights_fingerprint() != recorded["fingerprint"]:
            raise PairError(
                f"{recipe.network}, which {record.folder} was recorded of, "
                "has other weights by now; record it again"
            )
        return network, contract

    def recorded(self, teacher: Teacher | None) -> dict[str, RecordedTeacher]:
        """Itself, under the empty name."""
        return {} if teacher is None else {"": cast(RecordedTeacher, teacher)}

    def compared(self, teacher: Teacher) -> list[tuple[str, Teacher, str]]:
        """None: it is one teacher."""
        return []


def refuse_probabilities(record: Record, folder: Any, task: Task) -> None:
    """Refuse a record whose logits are probabilities, as of a network that ends in softmax.

    They are not turned into logits here: rounded as they are stored, small ones have no logarithm.

    Raises:
        RecipeError: all of a sample of its logits lie between 0 and 1.
    """
    column = next((each for each in record.columns if each.name == "logits"), None)
    if column is None or len(column.shape) != 1:
        return
    rows = np.unique(np.linspace(0, len(record) - 1, SAMPLE).astype(np.int64))
    logits = record.read(rows, CLEAN, ["logits"])["logits"]
    if column.form == "top":  # the others are the rest spread evenly, rounded: a little below 0
        logits = logits.round(decimals=2)
    if probabilities(logits, task) is not None:
        manifest = record.manifest
        raise RecipeError(
            f"what {folder} has as logits are probabilities, of a network that ends in softmax or "
            "sigmoid, as earlier versions recorded them. Record their logarithms: mentee record "
            f"RECIPE --out {folder} --methods {','.join(manifest.methods)} --views "
            f"{manifest.count} --dtype {manifest.dtype} --overwrite"
        )


def lacks(path: Any, method: str, layers: Sequence[str], held: Sequence[str]) -> str:
    """The message for a record without something that a method reads."""
    return (
        f"the record {path} has {', '.join(held)}; method {method!r} reads {', '.join(layers)} "
        f"too. Add it: mentee record RECIPE --out {path} --methods {method}"
    )
