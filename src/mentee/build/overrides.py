"""Overrides from Python: objects that are passed instead of names in the recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import nn

from mentee.distillation.terms import Builder
from mentee.errors import RecipeError, RunError
from mentee.losses import LOSSES, LossSpec
from mentee.methods import METHODS, Method
from mentee.recipe import (
    ATeacher,
    Ensemble,
    MultiRecipe,
    Network,
    Recipe,
    single_teachers,
)
from mentee.records.folders import is_network_record

ModelFactory: TypeAlias = nn.Module | Callable[..., nn.Module]
TeacherSource: TypeAlias = (
    ModelFactory | Sequence[ModelFactory] | Mapping[str, ModelFactory | Sequence[ModelFactory]]
)
"""A network; a list of networks, an ensemble; or a mapping by name, several teachers."""

PASSED_PREFIX = "given:"
"""Prefix, in a resolved recipe, of what was passed from Python and has no name there."""


@dataclass(frozen=True)
class PythonOverrides:
    """What a caller in Python passes together with the recipe, each instead of a name in it.

    Attributes:
        data: what `open_examples` takes: arrays, a `datasets.Dataset` or `DatasetDict`.
        student: a module, or a function or class that makes one from `classes`.
        teacher: the same; a list of them, which is an ensemble; or a mapping of either by name,
            which are several teachers.
        methods: methods of your own, looked up before the table's.
        losses: losses of your own, by the name that a term gives them.
        representations: builders of representations of your own, by name.
    """

    data: Any = None
    student: ModelFactory | None = None
    teacher: TeacherSource | None = None
    methods: Mapping[str, Method] | None = None
    losses: Mapping[str, LossSpec] | None = None
    representations: Mapping[str, Builder] | None = None

    @property
    def all_methods(self) -> dict[str, Method]:
        """The table of methods with those of one's own."""
        return {**METHODS, **(self.methods or {})}

    @property
    def all_losses(self) -> dict[str, LossSpec]:
        """The table of losses with those of one's own."""
        return {**LOSSES, **(self.losses or {})}

    def mark(self, recipe: Recipe) -> Recipe:
        """The recipe with a mark wherever something was passed instead of a name."""
        update: dict[str, Any] = {}
        if self.data is not None:
            source = f"{PASSED_PREFIX}{type(self.data).__name__}"
            update["data"] = recipe.data.model_copy(update={"source": source})
        if self.student is not None:
            update["student"] = marked_network(recipe.student, self.student)
        if self.teacher is not None and not records_network(recipe):
            update["teacher"] = marked_teacher(recipe.teacher, self.teacher)
        return recipe.model_copy(update=update)

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe of which something was passed from Python once and is not now."""
        parts = {
            "data": (recipe.data.source, self.data),
            "student": (recipe.student.network, self.student),
            "teacher": (getattr(recipe.teacher, "network", ""), self.teacher),
        }
        for part, (name, passed) in parts.items():
            if PASSED_PREFIX in name and passed is None:
                raise RunError(
                    f"the recipe says {part}: {name}, which was passed from Python; pass it again: "
                    f"mentee.resume(..., {part}=...)"
                )


def records_network(recipe: Recipe) -> bool:
    """Whether the teacher is the record of a network: a passed one has to be that network."""
    teacher = single_teachers(recipe.teacher).get("")
    folders = {} if teacher is None else teacher.record_folders
    return any(is_network_record(folder, recipe.data.train) for folder in folders.values())


def marked_network(network: Network | None, model: Any) -> Network:
    """A network of a recipe with a mark as its name, where a model was passed from Python."""
    name = f"{PASSED_PREFIX}{getattr(model, '__name__', type(model).__name__)}"
    return (network or Network(network=name)).model_copy(update={"network": name})


def marked_teacher(teacher: ATeacher | None, passed: TeacherSource) -> Any:
    """A teacher of a recipe with marks as the names of all that was passed from Python.

    Raises:
        RecipeError: the recipe names other teachers, or another number of networks.
    """
    if isinstance(passed, Mapping):
        named = {name: each for name, each in single_teachers(teacher).items() if name}
        marks = {name: marked_teacher(named.get(name), each) for name, each in passed.items()}
        if teacher is None or not named:
            return MultiRecipe(teachers=marks)
        if unknown := [name for name in passed if name not in named]:
            raise RecipeError(
                f"{', '.join(unknown)} passed from Python, and teacher.teachers names "
                f"{', '.join(named)}; name them there too"
            )
        return teacher.model_copy(update={"teachers": {**named, **marks}})
    if isinstance(passed, (list, tuple)):
        networks = getattr(teacher, "networks", None)
        if teacher is None or networks is None:
            return Ensemble(networks=[marked_network(None, each) for each in passed])
        if len(networks) != len(passed):
            raise RecipeError(
                f"teacher.networks names {len(networks)} networks, and {len(passed)} were passed "
                "from Python; pass as many, or leave them out of the recipe"
            )
        pairs = zip(networks, passed, strict=True)
        return teacher.model_copy(update={"networks": [marked_network(*pair) for pair in pairs]})
    return marked_network(teacher if isinstance(teacher, Network) else None, passed)
