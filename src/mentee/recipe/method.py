"""The keys of a recipe that say by what a student is taught: a row, or terms of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field

from mentee.errors import RecipeError
from mentee.methods import Component, Method, Number, Term, adjust, find, label_free, leveled
from mentee.recipe.parts import STRICT


class _Part(BaseModel):
    model_config = STRICT


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class ComponentRecipe(_Part):
    """A word of the table with its numbers; a representation may be `of` another."""

    name: str
    params: dict[str, Number] = {}
    of: Annotated[ComponentRecipe | None, BeforeValidator(_named)] = None

    def component(self) -> Component:
        """The same as a word of the table."""
        return Component(self.name, self.params, None if self.of is None else self.of.component())


AComponent = Annotated[ComponentRecipe, BeforeValidator(_named)]


class TermRecipe(_Part):
    """One summand: places × representation × agreement × weight."""

    layers: str | list[str]
    loss: AComponent
    weight: float
    representation: AComponent = ComponentRecipe(name="as_is")
    memory: AComponent | None = None
    stage_decay: float = Field(1.0, gt=0)
    exclusive_warmup: float = Field(0.0, ge=0, lt=1)
    ramp: float = Field(0.0, ge=0, le=1)

    def term(self) -> Term:
        """The same as a summand of the table."""
        if isinstance(self.layers, list) and len(self.layers) != 2:
            raise RecipeError(
                f"method.terms: places is {self.layers}; expected a place, or the student's place "
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


class MethodRecipe(_Part):
    """A row of the table by name, or terms of your own, with changed numbers and weights.

    Where losses are balanced, the table's weights do not count: a weight is 1 where none is said.
    """

    name: str = "none"
    terms: list[TermRecipe] | None = None
    params: dict[str, Number] = {}
    weights: dict[str, float] = {}
    balance: Literal["none", "unit", "uncertainty", "gradient"] = "none"

    def method(self, rows: Mapping[str, Method], labels: bool = True) -> Method:
        """The row it stands for; without labels with the task's loss off."""
        if self.terms is None:
            row = find(self.name, rows)
        else:
            row = Method(self.name, tuple(term.term() for term in self.terms))
        row = row if labels else label_free(row)
        if self.balance != "none":
            row = replace(row if self.terms else leveled(row), balance=self.balance)
        return adjust(row, self.params, self.weights)


AMethod: TypeAlias = Annotated[MethodRecipe, BeforeValidator(_named)]
"""A method by its keys, or by its name alone."""
