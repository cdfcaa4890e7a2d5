"""The keys of a recipe that name networks, records of them, and what they read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]

STRICT = ConfigDict(extra="forbid", strict=True, validate_default=True)
"""No other keys, no silent conversions."""


class _Part(BaseModel):
    model_config = STRICT


def by_name(record: str | dict[str, str]) -> dict[str, str]:
    """The folders of records by name; a single one has the empty name."""
    return {"": record} if isinstance(record, str) else record


def by_network(value: object) -> object:
    """A network's name alone stands for it."""
    return {"network": value} if isinstance(value, str) else value


class Input(_Part):
    """What is subtracted from, and divides, each channel of images in [0, 1]."""

    mean: list[float]
    std: list[Positive]


class AudioInput(_Part):
    """Samples a second of a waveform, and how many seconds of it are read."""

    rate: Count
    seconds: Positive


class TextInput(_Part):
    """How many bytes of a text are read."""

    length: Count


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Option = Annotated[int | float | bool | str | tuple[int, ...] | None, BeforeValidator(_tuples)]


class Reuse(_Part):
    """The end of a student that keeps its teacher's classifier: a projector before it.

    `factor`: so many times narrower within than the teacher. All else is found out and written into
    the run's recipe: where the trunk is read, the teacher's shape there, whether its classifier has
    a bias and what it reads may be below zero.
    """

    factor: Count = 2
    place: str | None = None
    shape: list[Count] | None = None
    bias: bool = True
    signed: bool = False


class Network(_Part):
    """A network by name, its outputs (None: the data's classes), weights and input.

    `size`: images are resized to it before this network reads them; None: they come as they are,
    for the networks of packages at the size that they were trained with. `classifier`: None: as
    the weights have it; `new`: as it is drawn, whatever they have; or a safetensors file with the
    `weight` and `bias` of one layer. `reuse`: it ends in the classifier of the teacher that it
    learnt from.
    """

    network: str
    classes: Count | None = None
    options: dict[str, Option] = {}
    weights: str | None = None
    input: str | Input | AudioInput | TextInput | None = None
    size: Count | None = None
    classifier: str | None = None
    reuse: Reuse | None = None


class Recorded(_Part):
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


def _which(value: object) -> str:
    keys = value if isinstance(value, Mapping) else ()
    if isinstance(value, Recorded) or "record" in keys:
        return "a record"
    return "an ensemble" if isinstance(value, Ensemble) or "networks" in keys else "a network"


Live: TypeAlias = Network | Ensemble
"""A teacher that is run: a network or several."""

ATeacher = Annotated[
    Annotated[Network, Tag("a network")]
    | Annotated[Ensemble, Tag("an ensemble")]
    | Annotated[Recorded, Tag("a record")],
    Discriminator(_which),
    BeforeValidator(by_network),
]


def live_of(said: Mapping[str, Any]) -> Live:
    """A network, or several, as a manifest says it."""
    return (Ensemble if "networks" in said else Network).model_validate(said)
