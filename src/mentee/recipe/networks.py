"""The keys of a recipe that name networks, and what they read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator

from mentee.recipe.parts import STRICT, Count, Positive


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

    sample_rate: Count
    seconds: Positive


class TextInput(_Part):
    """How many bytes of a text are read."""

    max_bytes: Count


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
    layer: str | None = None
    shape: list[Count] | None = None
    bias: bool = True
    signed: bool = False


class Network(_Part):
    """A network by name, its outputs (None: the data's classes), weights and input.

    `size`: images are resized to it before this network reads them; None: they come as they are,
    for the networks of packages at the size that they were trained with. `classifier`: None: as
    the weights have it; `new`: as it is drawn, whatever they have; or a safetensors file with the
    `weight` and `bias` of one layer. `reuse`: it ends in the classifier of the teacher that it
    learned from.
    """

    network: str
    classes: Count | None = None
    options: dict[str, Option] = {}
    weights: str | None = None
    input: str | Input | AudioInput | TextInput | None = None
    size: Count | None = None
    classifier: str | None = None
    reuse: Reuse | None = None
