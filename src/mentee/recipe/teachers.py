"""The keys of a recipe that say who teaches: a network, a record, several, or the student."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from mentee.recipe.method import AMethod
from mentee.recipe.networks import Network, by_name, by_network
from mentee.recipe.parts import STRICT, Positive, Share


class _Part(BaseModel):
    model_config = STRICT


class RecordedRecipe(_Part):
    """A teacher that was run once: the folder of its record, or several by name.

    `clean: true` says that what it said of the clean example teaches every view of it;
    `in_memory: true` copies the rows into memory at the start.
    """

    record: str | dict[str, str]
    clean: bool = False
    in_memory: bool = False

    @property
    def records(self) -> dict[str, str]:
        """The folders by name; a single one has the empty name."""
        return by_name(self.record)


class Ensemble(_Part):
    """Several networks that teach as one: read at their logits, of which a mean is taken.

    `mean`: of their probabilities (the logarithm of that), or of their logits.
    """

    networks: list[Annotated[Network, BeforeValidator(by_network)]] = Field(min_length=1)
    mean: Literal["probabilities", "logits"] = "probabilities"

    @property
    def network(self) -> str:
        """What it is called."""
        return " + ".join(each.network for each in self.networks)

    @property
    def classes(self) -> int | None:
        """How many outputs its networks have."""
        return self.networks[0].classes


class EmaRecipe(_Part):
    """The student's own moving average; it is also what is evaluated and kept.

    `ema`: what the average keeps of itself in a step.
    """

    ema: Annotated[float, Field(gt=0, lt=1)]


OnlineRecipe: TypeAlias = Network | Ensemble
"""A teacher that is run: a network or several as one."""


def _which(value: object) -> str:
    keys = value if isinstance(value, Mapping) else ()
    if isinstance(value, RecordedRecipe) or "record" in keys:
        return "a record"
    if isinstance(value, MultiRecipe) or "teachers" in keys:
        return "several"
    if isinstance(value, EmaRecipe) or "ema" in keys or "average" in keys:
        return "an average"
    return "an ensemble" if isinstance(value, Ensemble) or "networks" in keys else "a network"


_One: TypeAlias = (
    Annotated[Network, Tag("a network")]
    | Annotated[Ensemble, Tag("an ensemble")]
    | Annotated[RecordedRecipe, Tag("a record")]
)
OneTeacher = Annotated[_One, Discriminator(_which), BeforeValidator(by_network)]

NAME = re.compile(r"[A-Za-z][\w-]*")


class MultiRecipe(_Part):
    """Teachers by name that each teach for themselves: networks, several as one, or records.

    `methods`: what each teaches by (the recipe's method where nothing is said); `weights`: how much
    each counts beside the others, by default 1; they are divided by their sum. `dropout`: the share
    of the times that a teacher is not heard of an example, unless it is the one that the student
    follows least there.
    """

    teachers: dict[str, OneTeacher] = Field(min_length=1)
    methods: dict[str, AMethod] = {}
    weights: dict[str, Positive] = {}
    dropout: Share = 0.0

    @field_validator("teachers")
    @classmethod
    def _each_by_one_name(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, each in value.items():
            if not NAME.fullmatch(name):
                raise PydanticCustomError(
                    "name", "names should be letters, digits, - and _, a letter first"
                )
            if isinstance(each, RecordedRecipe) and list(each.records) != [""]:
                raise PydanticCustomError(
                    "records", "each record should be a teacher by itself: {record: FOLDER}"
                )
        return value

    @field_validator("methods", "weights")
    @classmethod
    def _of_a_teacher(cls, value: dict[str, Any], info: Any) -> dict[str, Any]:
        known = info.data.get("teachers", value)
        if any(name not in known for name in value):
            raise PydanticCustomError("of_whom", f"keys should be of {', '.join(known)}")
        return value

    @property
    def network(self) -> str:
        """What they are called."""
        return " | ".join(getattr(each, "network", "a record") for each in self.teachers.values())

    @property
    def shares(self) -> dict[str, float]:
        """What each weighs; the sum is 1."""
        weights = {name: self.weights.get(name, 1.0) for name in self.teachers}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


ATeacher = Annotated[
    _One | Annotated[MultiRecipe, Tag("several")] | Annotated[EmaRecipe, Tag("an average")],
    Discriminator(_which),
    BeforeValidator(by_network),
]


def single_teachers(said: ATeacher | None) -> dict[str, Network | Ensemble | RecordedRecipe]:
    """The teachers of a recipe by name; one alone has the empty name, the student has none.

    Example:
        >>> list(single_teachers(Network(network="vgg19-cifar"))), single_teachers(None)
        ([''], {})
    """
    if isinstance(said, MultiRecipe):
        return dict(said.teachers)
    return {} if said is None or isinstance(said, EmaRecipe) else {"": said}


def online_recipe(said: Mapping[str, Any]) -> OnlineRecipe:
    """A network, or several as one, as a manifest says it."""
    return (Ensemble if "networks" in said else Network).model_validate(said)
