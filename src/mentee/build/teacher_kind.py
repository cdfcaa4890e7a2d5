"""The interface of a kind of teacher: what its recipe resolves to, and how it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch.optim.swa_utils import AveragedModel

from mentee.build import networks
from mentee.build.classifier_reuse import Classifier
from mentee.build.datasets import DatasetSplits
from mentee.build.overrides import ModelFactory, TeacherSource
from mentee.distillation.objective import DistillationLoss
from mentee.errors import PairError
from mentee.methods import Method
from mentee.models import Contract, own_classes
from mentee.recipe import ATeacher, Data, Network, OnlineRecipe, Recipe, single_teachers
from mentee.teachers import OnlineTeacher, RecordedTeacher
from mentee.teachers.teacher import Teacher
from mentee.types import Batch, FeatureKey


@dataclass(frozen=True)
class TeacherRequest:
    """What a teacher is built for.

    Attributes:
        recipe: of the run, resolved.
        method: name of the method that reads this teacher.
        layers: that are read.
        splits: of the run.
        batch: two examples.
        source: what was passed from Python for this teacher.
        notes: gets a line for each thing that was changed about the teacher, or should be known.
    """

    recipe: Recipe
    method: str
    layers: list[str]
    splits: DatasetSplits
    batch: Batch
    source: TeacherSource | None = None
    notes: list[str] = field(default_factory=list)

    def part(self, method: str, layers: list[str], source: Any) -> TeacherRequest:
        """The request for one of several teachers, with notes of its own."""
        return replace(self, method=method, layers=layers, source=source, notes=[])


class TeacherKind:
    """One kind of teacher, as a recipe's `teacher` has it: the defaults that most kinds share."""

    def __init__(self, recipe: Any) -> None:
        self.recipe = recipe

    def method(self, method: Method, methods: Mapping[str, Method], labels: bool) -> Method:
        """The method with its terms once for each teacher, where there are several."""
        return method

    def views(self, data: Data) -> Data:
        """How views are made of the examples, where a record determines it."""
        return data

    def resolve(
        self,
        splits: DatasetSplits,
        data: Data,
        source: TeacherSource | None = None,
        notes: list[str] | None = None,
    ) -> Any:
        """Its recipe with nothing left open: each network with its outputs and its input."""
        if self.recipe is None:
            return None
        passed = iter(sources(self.recipe, source))

        def resolved(each: Network) -> Network:
            key, own = next(passed)
            outputs = own_classes(each.network)
            return networks.resolve(each, splits, data, outputs, source=own, key=key, notes=notes)

        return self.recipe.with_networks(resolved)

    def ema_decay(self, recipe: Recipe) -> float | None:
        """The decay of the student's moving average."""
        return recipe.train.ema

    def outputs(self, layers: list[str], reuse: bool) -> int | None:
        """How many outputs a student without labels has: the teacher's, where its logits are read.

        Such outputs are a part of the distillation, and dropped with it. Else one, which nothing
        trains; None: as many as there are classes.
        """
        return self.classes() if "logits" in layers or reuse else 1

    def classes(self) -> int:
        """How many outputs the teacher has; 1 where that is not known."""
        return 1

    def build(self, request: TeacherRequest) -> Teacher | None:
        """The teacher, read at the requested layers; None: it is the student's average."""
        raise NotImplementedError

    def from_average(
        self, average: AveragedModel | None, layers: list[str], batch: Batch, contract: Contract
    ) -> Teacher | None:
        """The teacher that is the student's moving average; None for all other kinds."""
        return None

    def classifier(
        self, teacher: Teacher | None, request: TeacherRequest, layer: str
    ) -> Classifier:
        """The teacher's classifier, for a student that reuses it."""
        raise PairError(
            f"method {request.method!r} keeps the teacher's classifier, and a record of "
            "embeddings, or the student's own average, has none; give the recipe a network as "
            "teacher, or take to-teacher"
        )

    def online(self, teacher: Teacher | None) -> dict[str, tuple[OnlineTeacher, OnlineRecipe]]:
        """The teachers that are run while the student trains, by name, with their recipes."""
        return {}

    def records(self, teacher: Teacher | None) -> list[RecordedTeacher]:
        """The teachers that are records, of a network's layers or of embeddings."""
        return []

    def recorded(self, teacher: Teacher | None) -> dict[str, RecordedTeacher]:
        """The teachers that are records of a network's layers, by name."""
        return {}

    def check_term(
        self, teacher: Teacher, loss: DistillationLoss, bound: Any, key: FeatureKey
    ) -> None:
        """Refuse a bound term that cannot be computed from this teacher's outputs.

        `key` is that of what it reads of this teacher, as the teacher names it.
        """

    def compared(self, teacher: Teacher) -> list[tuple[str, Teacher, str]]:
        """Each of several teachers by name, with the layer at which the student is compared."""
        return []

    def describe(self, data: Data) -> str:
        """Of which view its outputs are: `live`, `clean`, `clean for every view` or `views=V`."""
        return "live"


def sources(
    recipe: ATeacher, source: TeacherSource | None
) -> list[tuple[str, ModelFactory | None]]:
    """For each network of a teacher its key in the recipe and what was passed from Python."""
    pairs: list[tuple[str, ModelFactory | None]] = []
    for name, each in single_teachers(recipe).items():
        own: Any = source.get(name) if isinstance(source, Mapping) else source
        count = len(each.each_network)
        key = f"teacher.teachers.{name}" if name else "teacher"
        pairs += [(key, one) for one in (own if isinstance(own, (list, tuple)) else [own] * count)]
    return pairs
