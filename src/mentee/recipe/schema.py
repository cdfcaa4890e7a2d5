"""The keys of a recipe, and what may stand behind each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mentee.errors import RecipeError
from mentee.methods import Method, Number, Term, Word, adjust, find

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, validate_default=True)


class Data(_Part):
    """The examples. `validation` is a split's name, or the share to cut off the training part."""

    source: str
    train: str = "train"
    validation: str | Annotated[float, Field(gt=0, lt=1)] | None = 0.1
    test: str | None = "test"
    limit: Count | None = None
    image: str | None = None
    label: str | list[str] | None = None
    id: str | None = None
    classes: list[str] | None = None
    channels: Literal[1, 3] | None = None
    views: str = "crop-flip"
    pad: int = Field(4, ge=0)
    size: Count | None = None
    seed: int = 0


class Input(_Part):
    """What is subtracted from, and divides, each channel of images in [0, 1]."""

    mean: list[float]
    std: list[Positive]


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Option = Annotated[int | float | bool | str | tuple[int, ...] | None, BeforeValidator(_tuples)]


class Network(_Part):
    """A network by name, its outputs (None: the data's classes), weights and input."""

    network: str
    classes: Count | None = None
    options: dict[str, Option] = {}
    weights: str | None = None
    input: str | Input | None = None


class WordRecipe(_Part):
    """A word of the table with its numbers."""

    name: str
    numbers: dict[str, Number] = {}

    def word(self) -> Word:
        """The same as a word of the table."""
        return Word(self.name, self.numbers)


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


AWord = Annotated[WordRecipe, BeforeValidator(_named)]


class TermRecipe(_Part):
    """One summand: places × representation × agreement × weight."""

    places: str | list[str]
    agree: AWord
    weight: float
    represent: AWord = WordRecipe(name="as_is")
    memory: AWord | None = None

    def term(self) -> Term:
        """The same as a summand of the table."""
        if isinstance(self.places, list) and len(self.places) != 2:
            raise RecipeError(
                f"method.terms: places is {self.places}; expected a place, or the student's place "
                "and the teacher's"
            )
        return Term(
            self.places if isinstance(self.places, str) else (self.places[0], self.places[1]),
            self.agree.word(),
            self.weight,
            self.represent.word(),
            None if self.memory is None else self.memory.word(),
        )


class MethodRecipe(_Part):
    """A row of the table by name, or terms of your own, with changed numbers and weights."""

    name: str = "none"
    terms: list[TermRecipe] | None = None
    numbers: dict[str, Number] = {}
    weights: dict[str, float] = {}

    def method(self, rows: Mapping[str, Method]) -> Method:
        """The row it stands for."""
        if self.terms is None:
            row = find(self.name, rows)
        else:
            row = Method(self.name, tuple(term.term() for term in self.terms))
        return adjust(row, self.numbers, self.weights)


class Train(_Part):
    """How the student is trained. `batch` counts over all processes and accumulated parts."""

    epochs: Count = 30
    batch: Count = 64
    accumulate: Count = 1
    optimiser: Literal["sgd", "adamw"] = "sgd"
    rate: Positive = 0.05
    momentum: Share = 0.9
    nesterov: bool = False
    decay: float = Field(5e-4, ge=0)
    decay_all: bool = True
    schedule: Literal["constant", "cosine", "one-cycle", "steps"] = "one-cycle"
    milestones: list[Count] = []
    factor: Positive = 0.1
    warmup: int = Field(0, ge=0)
    clip: Positive | None = None
    average: Share | None = None
    smoothing: Share = 0.0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    channels_last: bool = True
    workers: int = Field(0, ge=0)
    seed: int = 0


class Select(_Part):
    """Which weights are kept: the best on validation, or the last; and when to stop early."""

    keep: Literal["best", "last"] = "best"
    by: Literal["accuracy", "map"] | None = None
    every: Count = 1
    patience: Count | None = None


class Save(_Part):
    """When a checkpoint is written: after so many steps or minutes, whichever comes first."""

    steps: Count | None = None
    minutes: Positive | None = 5.0


class Recipe(_Part):
    """A whole run."""

    data: Data
    student: Annotated[Network, BeforeValidator(lambda v: _network(v))]
    teacher: Annotated[Network, BeforeValidator(lambda v: _network(v))] | None = None
    method: Annotated[MethodRecipe, BeforeValidator(_named)] = MethodRecipe()
    train: Train = Train()
    select: Select = Select()
    save: Save = Save()


def _network(value: object) -> object:
    return {"network": value} if isinstance(value, str) else value
