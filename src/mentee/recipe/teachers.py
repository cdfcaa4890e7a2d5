"""The `teacher` of a recipe: a network, an ensemble, records, several teachers, or the student."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from mentee.errors import RecipeError
from mentee.recipe.method import AMethod
from mentee.recipe.networks import Network, TeacherRecipe, by_name, by_network
from mentee.recipe.parts import Positive, Share


class RecordedRecipe(TeacherRecipe):
    """A teacher whose outputs were recorded: the folder of its record, or several by name.

    `clean: true`: the outputs for the clean example are the target for every view of it.
    `in_memory: true`: the rows are read into memory at the start.
    """

    tag: ClassVar[str] = "a record"

    record: str | dict[str, str]
    clean: bool = False
    in_memory: bool = False

    @property
    def record_folders(self) -> dict[str, str]:
        """The folders by name; a single one has the empty name."""
        return by_name(self.record)

    def live(self, recorded: Any) -> Any:
        """The network that was recorded."""
        return recorded


class Ensemble(TeacherRecipe):
    """Several networks as one teacher, which has logits only: their mean.

    `mean`: of their probabilities (its logarithm is used), or of their logits.
    """

    tag: ClassVar[str] = "an ensemble"
    has_embedding: ClassVar[bool] = False

    networks: list[Annotated[Network, BeforeValidator(by_network)]] = Field(min_length=1)
    mean: Literal["probabilities", "logits"] = "probabilities"

    @property
    def network(self) -> str:
        """Its name in messages."""
        return " + ".join(each.network for each in self.networks)

    @property
    def classes(self) -> int | None:
        """How many outputs its networks have."""
        return self.networks[0].classes

    @property
    def online(self) -> Ensemble:
        """Itself."""
        return self

    @property
    def each_network(self) -> list[Network]:
        """Its networks."""
        return list(self.networks)

    def with_networks(self, change: Callable[[Network], Network]) -> Ensemble:
        """The same with each network changed."""
        return self.model_copy(update={"networks": [change(each) for each in self.networks]})


class EmaRecipe(TeacherRecipe):
    """The student's own moving average as teacher; it is also what is evaluated and saved.

    `ema`: its decay, the share of itself that the average keeps in a step.
    """

    tag: ClassVar[str] = "an average"

    ema: Annotated[float, Field(gt=0, lt=1)]

    @property
    def members(self) -> dict[str, Any]:
        """None: it is no other network."""
        return {}


OnlineRecipe: TypeAlias = Network | Ensemble
"""A teacher that is run while the student trains: a network or an ensemble."""

SingleTeacher: TypeAlias = Network | Ensemble | RecordedRecipe

KEYS = {"record": RecordedRecipe.tag, "teachers": "several", "networks": Ensemble.tag}
"""The key by which each kind of teacher is recognized; anything else is a network."""


def _kind(value: object) -> str:
    if isinstance(value, TeacherRecipe):
        return value.tag
    keys = value if isinstance(value, Mapping) else ()
    if "ema" in keys or "average" in keys:  # the key of version 0.1, for its message
        return EmaRecipe.tag
    return next((tag for key, tag in KEYS.items() if key in keys), Network.tag)


_Single: TypeAlias = (
    Annotated[Network, Tag("a network")]
    | Annotated[Ensemble, Tag("an ensemble")]
    | Annotated[RecordedRecipe, Tag("a record")]
)
OneTeacher = Annotated[_Single, Discriminator(_kind), BeforeValidator(by_network)]

NAME = re.compile(r"[A-Za-z][\w-]*")


class MultiRecipe(TeacherRecipe):
    """Several teachers by name, each with loss terms of its own.

    `methods`: the method of each (default: the recipe's); `weights`: the weight of each (default:
    1), divided by their sum. `dropout`: the probability that a teacher is dropped for an example,
    unless it is the one that the student agrees with least there.
    """

    tag: ClassVar[str] = "several"

    teachers: dict[str, OneTeacher] = Field(min_length=1)
    methods: dict[str, AMethod] = {}
    weights: dict[str, Positive] = {}
    dropout: Share = 0.0

    @field_validator("teachers")
    @classmethod
    def _named_and_single(cls, value: dict[str, SingleTeacher]) -> dict[str, SingleTeacher]:
        for name, each in value.items():
            if not NAME.fullmatch(name):
                raise PydanticCustomError(
                    "name", "names should be letters, digits, - and _, a letter first"
                )
            if set(each.record_folders) - {""}:
                raise PydanticCustomError(
                    "records", "each record should be a teacher by itself: {record: FOLDER}"
                )
        return value

    @field_validator("methods", "weights")
    @classmethod
    def _of_known_teachers(cls, value: dict[str, Any], info: Any) -> dict[str, Any]:
        known = info.data.get("teachers", value)
        if any(name not in known for name in value):
            raise PydanticCustomError("of_whom", f"keys should be of {', '.join(known)}")
        if not all(getattr(each, "labels", True) for each in value.values()):
            raise PydanticCustomError("labels", "labels should stand in the recipe's own method")
        return value

    @property
    def network(self) -> str:
        """Its name in messages."""
        return " | ".join(getattr(each, "network", "a record") for each in self.teachers.values())

    @property
    def shares(self) -> dict[str, float]:
        """The weight of each; the sum is 1."""
        weights = {name: self.weights.get(name, 1.0) for name in self.teachers}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    @property
    def members(self) -> dict[str, Any]:
        """The teachers by name."""
        return dict(self.teachers)

    def without_methods(self) -> MultiRecipe:
        """The same teachers; each would be read by the recipe's method."""
        return self.model_copy(update={"methods": {}})

    @property
    def each_network(self) -> list[Network]:
        """The networks of all teachers."""
        return [network for each in self.teachers.values() for network in each.each_network]

    @property
    def record_folders(self) -> dict[str, str]:
        """The folders of the records by the names of their teachers."""
        folders = {name: each.record_folders for name, each in self.teachers.items()}
        return {name: each[""] for name, each in folders.items() if each}

    def with_networks(self, change: Callable[[Network], Network]) -> MultiRecipe:
        """The same with each network of each teacher changed."""
        teachers = {name: each.with_networks(change) for name, each in self.teachers.items()}
        return self.model_copy(update={"teachers": teachers})


ATeacher = Annotated[
    _Single | Annotated[MultiRecipe, Tag("several")] | Annotated[EmaRecipe, Tag("an average")],
    Discriminator(_kind),
    BeforeValidator(by_network),
]


def single_teachers(teacher: ATeacher | None) -> dict[str, SingleTeacher]:
    """The teachers of a recipe by name; a single one has the empty name, the student has none.

    Example:
        >>> list(single_teachers(Network(network="vgg19-cifar"))), single_teachers(None)
        ([''], {})
    """
    return {} if teacher is None else teacher.members


def online_recipe(content: Mapping[str, Any]) -> OnlineRecipe:
    """A network or an ensemble as a record's manifest describes it.

    Raises:
        RecipeError: it is none.
    """
    try:
        return (Ensemble if "networks" in content else Network).model_validate(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise RecipeError(
            f"the manifest of a record describes no network (teacher.network.{where}: "
            f"{error.errors()[0]['msg']}); record it again (--overwrite)"
        ) from error
