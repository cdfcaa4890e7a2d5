"""The `method` of a recipe: one of the table by name, or terms of your own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from mentee.errors import RecipeError
from mentee.methods import Component, Method, Number, Term, adjust, find, label_free, leveled
from mentee.recipe.parts import Part, Positive, Weight


def named(value: object) -> object:
    """A name alone stands for what has it."""
    return {"name": value} if isinstance(value, str) else value


class ComponentRecipe(Part):
    """A loss, representation or memory and its parameters; representations may be `of` another."""

    name: str
    params: dict[str, Number] = {}
    of: Annotated[ComponentRecipe | None, BeforeValidator(named)] = None

    def component(self) -> Component:
        """The same as the table of methods has it."""
        return Component(self.name, self.params, None if self.of is None else self.of.component())


AComponent = Annotated[ComponentRecipe, BeforeValidator(named)]


class TermRecipe(Part):
    """One term: layers × representation × loss × weight."""

    layers: str | list[str]
    loss: AComponent
    weight: Weight
    representation: AComponent = ComponentRecipe(name="as_is")
    memory: AComponent | None = None
    stage_decay: Positive = 1.0
    exclusive_warmup: float = Field(0.0, ge=0, lt=1)
    ramp: float = Field(0.0, ge=0, le=1)

    def term(self) -> Term:
        """The same as the table of methods has it."""
        if isinstance(self.layers, list) and len(self.layers) != 2:
            raise RecipeError(
                f"method.terms: layers is {self.layers}; expected a layer, or the student's layer "
                "and the teacher's"
            )
        return Term(
            self.layers if isinstance(self.layers, str) else (self.layers[0], self.layers[1]),
            self.loss.component(),
            self.weight,
            self.representation.component(),
            None if self.memory is None else self.memory.component(),
            self.stage_decay,
            self.exclusive_warmup,
            self.ramp,
        )


def _no_path(name: str) -> str:
    if "/" in name or "\\" in name or not name.isprintable():
        raise PydanticCustomError(
            "path", "should be without / and \\, since runs are in folders of that name"
        )
    return name


MethodName = Annotated[str, Field(max_length=200), AfterValidator(_no_path)]


class MethodRecipe(Part):
    """A method of the table by name, or terms of your own; with changed parameters and weights.

    Where losses are balanced, the table's weights do not count: a weight that is not given is 1.
    `labels: false`: it is trained as without labels, which then only score the student.
    """

    name: MethodName = "none"
    terms: Annotated[list[TermRecipe], Field(min_length=1)] | None = None
    params: dict[str, Number] = {}
    weights: dict[str, Weight] = {}
    balance: Literal["none", "unit", "uncertainty", "gradient"] = "none"
    labels: bool = True

    def method(self, methods: Mapping[str, Method], labels: bool = True) -> Method:
        """The method that it names; without labels the task's loss is off."""
        if self.terms is None:
            method = find(self.name, methods)
        else:
            method = Method(self.name, tuple(term.term() for term in self.terms))
        method = method if labels else label_free(method)
        if self.balance != "none":
            method = replace(method if self.terms else leveled(method), balance=self.balance)
        return adjust(method, self.params, self.weights)


AMethod: TypeAlias = Annotated[MethodRecipe, BeforeValidator(named)]
"""A method by its keys, or by its name alone."""
