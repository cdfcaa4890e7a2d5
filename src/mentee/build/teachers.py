"""The kinds of teacher: networks that are run, records, several teachers, the student's average."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch.optim.swa_utils import AveragedModel

from mentee.build import networks
from mentee.build.classifier_reuse import Classifier, find_classifier
from mentee.build.datasets import MEASURED, once
from mentee.build.outputs import how_to_name
from mentee.build.own_input import is_trained
from mentee.build.recorded_teachers import recorded_kind
from mentee.build.teacher_kind import TeacherKind, TeacherRequest
from mentee.distillation import layer_pairs
from mentee.distillation.objective import DistillationLoss
from mentee.errors import MenteeError, PairError, RecipeError
from mentee.methods import Method
from mentee.models import Contract, own_classes
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
)
from mentee.teachers import EmaTeacher, MultiTeacher, OnlineTeacher, RecordedTeacher
from mentee.teachers.online import Measured
from mentee.teachers.teacher import Teacher
from mentee.types import Batch, FeatureKey


class NoTeacher(TeacherKind):
    """A recipe without a teacher."""

    def build(self, request: TeacherRequest) -> Teacher:
        """Refused."""
        raise RecipeError(
            f"method {request.method!r} reads a teacher; name one under teacher:, or train from "
            "scratch with method: none"
        )


class OnlineKind(TeacherKind):
    """A network or an ensemble that is run while the student trains."""

    recipe: OnlineRecipe

    def classes(self) -> int:
        """How many outputs it has."""
        return self.recipe.classes or 1

    def build(self, request: TeacherRequest) -> OnlineTeacher:
        """The network with its weights, read at the layers."""
        for each in self.recipe.each_network:
            if (
                not is_trained(each)
                and own_classes(each.network) is None
                and request.source is None
            ):
                raise RecipeError(
                    f"teacher {each.network} has no weights, and an untrained "
                    "network is no teacher; give teacher.weights a file (or a timm network "
                    "options: {pretrained: true}; or take package:efficientnet-lite0)"
                )
        splits, seed = request.splits, request.recipe.train.seed
        network, contract = networks.build_teacher(
            self.recipe, request.source, splits, seed=seed, notes=request.notes
        )
        layers = networks.layers(network, request.layers, request.batch, contract)
        for layer in layers:
            if layer.is_result and len(layer.shape) != 1:
                raise RecipeError(
                    f"the teacher's logits are {list(layer.shape)} for each example; expected one "
                    f"for each class. {how_to_name()}"
                )

        def once_of_these(key: Callable[[], str], compute: Callable[[], Measured]) -> Measured:
            keys, data = splits.train.keys, request.recipe.data.model_dump_json()
            return once(lambda: repr((data, len(keys), int(keys.sum()), key())), compute)

        return OnlineTeacher(
            network,
            layers,
            contract,
            sample=lambda: splits.clean(splits.some(MEASURED)),
            once=once_of_these,
        )

    def classifier(
        self, teacher: Teacher | None, request: TeacherRequest, layer: str
    ) -> Classifier:
        """The network's classifier, which reads the mean of the layer."""
        online = cast(OnlineTeacher, teacher)
        return find_classifier(online.network, online.contract, request.batch, layer)

    def online(self, teacher: Teacher | None) -> dict[str, tuple[OnlineTeacher, OnlineRecipe]]:
        """Itself, under the empty name."""
        return {} if teacher is None else {"": (cast(OnlineTeacher, teacher), self.recipe)}


class EnsembleKind(OnlineKind):
    """Several networks as one teacher."""

    def build(self, request: TeacherRequest) -> OnlineTeacher:
        """The networks with the mean of their logits; nothing else is read."""
        if request.layers != ["logits"]:
            raise PairError(
                f"several networks teach as one at their logits, and method {request.method!r} "
                f"reads {', '.join(request.layers)}; take a method of logits, such as kd or dkd, "
                "or one network"
            )
        return super().build(request)


class EmaKind(TeacherKind):
    """The student's own moving average."""

    recipe: EmaRecipe

    def ema_decay(self, recipe: Recipe) -> float:
        """The decay of the average that is the teacher, which is also the one that is saved."""
        if recipe.train.ema not in (None, self.recipe.ema):
            raise RecipeError(
                f"teacher.ema is {self.recipe.ema} and train.ema {recipe.train.ema}; the average "
                "that is the teacher is the one that is saved: leave train.ema out"
            )
        if recipe.data.label is False:
            raise RecipeError(
                "teacher.ema: without labels the student's own average has nothing to teach it; "
                "name a teacher that has learned something, or let the labels be read"
            )
        return self.recipe.ema

    def outputs(self, layers: list[str], reuse: bool) -> int | None:
        """As many as there are classes."""
        return None

    def build(self, request: TeacherRequest) -> None:
        """None: it is made of the student, by `from_average`."""

    def from_average(
        self, average: AveragedModel | None, layers: list[str], batch: Batch, contract: Contract
    ) -> EmaTeacher | None:
        """The average, read at the layers."""
        if average is None or not layers:
            return None
        read = networks.layers(average.module, layers, batch, contract)
        return EmaTeacher(average.module, read, contract, self.recipe.ema)

    def describe(self, data: Data) -> str:
        """The average and its decay."""
        return f"the student's own average ({self.recipe.ema:g})"


class MultiKind(TeacherKind):
    """Several teachers, each with terms of its own."""

    recipe: MultiRecipe

    def __init__(self, recipe: MultiRecipe, data: Data) -> None:
        super().__init__(recipe)
        self.kinds = {name: teacher_kind(each, data) for name, each in recipe.teachers.items()}

    def method(self, method: Method, methods: Mapping[str, Method], labels: bool) -> Method:
        """The terms of each teacher, weighted by its share."""
        each = {name: one.method(methods, labels) for name, one in self.recipe.methods.items()}
        several = layer_pairs.with_teachers(method, self.recipe.shares, each)
        return replace(several, teacher_dropout=self.recipe.dropout)

    def views(self, data: Data) -> Data:
        """The views that all records have."""
        for kind in self.kinds.values():
            data = kind.views(data)
        return data

    def outputs(self, layers: list[str], reuse: bool) -> int:
        """As many as the first teacher has whose logits are read; else one."""
        read = (kind for name, kind in self.kinds.items() if f"logits.{name}" in layers)
        first = next(read, None)
        return 1 if first is None else first.classes()

    def build(self, request: TeacherRequest) -> MultiTeacher:
        """Each teacher, read at the layers that bear its name, which errors name too."""
        sources = request.source if isinstance(request.source, Mapping) else {}
        layers = {name: own_layers(request.layers, name) for name in self.kinds}
        teachers: dict[str, Teacher] = {}
        for name, kind in self.kinds.items():
            own = self.recipe.methods.get(name)
            method = request.method if own is None else own.name
            if not layers[name]:
                raise RecipeError(
                    f"teacher {name}: method {method!r} reads nothing of it; give it another "
                    f"under teacher.methods, or leave it out"
                )
            try:
                part = request.part(method, layers[name], sources.get(name))
                teacher = teachers[name] = cast(Teacher, kind.build(part))
                for layer in layers[name]:
                    layer_pairs.check_recorded(layer, {p.name: p.shape for p in teacher.layers})
            except MenteeError as error:
                raise type(error)(f"teacher {name}: {error}") from error
            request.notes.extend(f"{name}: {note}" for note in part.notes)
        return MultiTeacher(teachers, layers)

    def online(self, teacher: Teacher | None) -> dict[str, tuple[OnlineTeacher, OnlineRecipe]]:
        """Those that are run while the student trains."""
        return {n: one[""] for n, kind, t in self._parts(teacher) if (one := kind.online(t))}

    def recorded(self, teacher: Teacher | None) -> dict[str, RecordedTeacher]:
        """Those that are records of a network's layers."""
        return {n: one[""] for n, kind, t in self._parts(teacher) if (one := kind.recorded(t))}

    def records(self, teacher: Teacher | None) -> list[RecordedTeacher]:
        """Those of each."""
        return [each for _, kind, own in self._parts(teacher) for each in kind.records(own)]

    def _parts(self, teacher: Teacher | None) -> list[tuple[str, TeacherKind, Teacher]]:
        teachers = {} if teacher is None else cast(MultiTeacher, teacher).teachers
        return [(name, self.kinds[name], each) for name, each in teachers.items()]

    def check_term(
        self, teacher: Teacher, loss: DistillationLoss, bound: Any, key: FeatureKey
    ) -> None:
        """Check the term against its own teacher."""
        several, name = cast(MultiTeacher, teacher), bound.term.teacher
        own = FeatureKey(tuple(several.teacher_of(layer)[1] for layer in key.layers))
        self.kinds[name].check_term(several.teachers[name], loss, bound, own)

    def compared(self, teacher: Teacher) -> list[tuple[str, Teacher, str]]:
        """Each at its embedding; an ensemble at its logits, which is all that it has."""
        return [
            (name, each, "embedding" if self.recipe.teachers[name].has_embedding else "logits")
            for name, each in cast(MultiTeacher, teacher).teachers.items()
        ]

    def describe(self, data: Data) -> str:
        """Each by its name."""
        return ", ".join(f"{name}: {kind.describe(data)}" for name, kind in self.kinds.items())


KINDS: dict[type, Callable[[Any, Data], TeacherKind]] = {
    type(None): lambda recipe, data: NoTeacher(recipe),
    Network: lambda recipe, data: OnlineKind(recipe),
    Ensemble: lambda recipe, data: EnsembleKind(recipe),
    RecordedRecipe: recorded_kind,
    MultiRecipe: MultiKind,
    EmaRecipe: lambda recipe, data: EmaKind(recipe),
}
"""The kind of each class that a recipe's `teacher` may have."""


def teacher_kind(recipe: ATeacher | None, data: Data) -> TeacherKind:
    """The kind of a recipe's teacher; of a record, the data name its split."""
    return KINDS[type(recipe)](recipe, data)


def own_layers(layers: Sequence[str], name: str) -> list[str]:
    """The layers of one of several teachers, as the teacher names them.

    Example:
        >>> own_layers(["stages.vgg", "embedding.clip"], "vgg")
        ['stages']
    """
    return [each.removesuffix(f".{name}") for each in layers if each.endswith(f".{name}")]
