"""The `student` of a recipe, or a network as its teacher: name, weights and input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from mentee.recipe.parts import (
    Count,
    Part,
    Pixels,
    Positive,
    SampleRate,
    Seconds,
    TextBytes,
    Weight,
)


def by_name(record: str | dict[str, str]) -> dict[str, str]:
    """The folders of records by name; a single one has the empty name."""
    return {"": record} if isinstance(record, str) else record


def by_network(value: object) -> object:
    """A network's name alone stands for it."""
    return {"network": value} if isinstance(value, str) else value


class Input(Part):
    """Mean and standard deviation by which each channel of images in [0, 1] is normalized."""

    mean: list[Weight] = Field(min_length=1)
    std: list[Positive] = Field(min_length=1)


class AudioInput(Part):
    """The sample rate of a waveform, and how many seconds of it are read."""

    sample_rate: SampleRate
    seconds: Seconds


class TextInput(Part):
    """How many bytes of a text are read."""

    max_bytes: TextBytes


def _kind_of_input(value: object) -> str:
    if isinstance(value, Part):
        return type(value).__name__
    if not isinstance(value, Mapping):
        return "str"
    kinds = {"sample_rate": "AudioInput", "seconds": "AudioInput", "max_bytes": "TextInput"}
    kinds |= {"rate": "AudioInput", "length": "TextInput"}  # the keys of version 0.1
    return next((kinds[key] for key in value if key in kinds), "Input")


AnInput = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[Input, Tag("Input")]
    | Annotated[AudioInput, Tag("AudioInput")]
    | Annotated[TextInput, Tag("TextInput")],
    Discriminator(_kind_of_input),
]
"""The name of a contract, or what it says; recognized by its keys."""


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Option = Annotated[int | float | bool | str | tuple[int, ...] | None, BeforeValidator(_tuples)]


class Reuse(Part):
    """A student that ends in its teacher's classifier (SimKD), with a projector before it.

    `factor`: the projector is so many times narrower than the teacher. The rest is found out and
    written into the run's recipe: the layer that the projector reads, the teacher's shape there,
    whether its classifier has a bias, and whether its input may be negative.
    """

    factor: Count = 2
    layer: str | None = None
    shape: list[Count] | None = None
    bias: bool = True
    signed: bool = False


class TeacherRecipe(Part):
    """The base of everything that a recipe may name as its teacher.

    What needs more than the recipe is in `mentee.build.teachers`, a class for each kind.
    """

    tag: ClassVar[str]
    has_embedding: ClassVar[bool] = True
    """Whether it has one embedding, or logits alone."""

    @property
    def members(self) -> dict[str, Any]:
        """The teachers that it consists of, by name; a single one has the empty name."""
        return {"": self}

    @property
    def online(self) -> Any:
        """Itself if it is run while the student trains, a `Network` or an `Ensemble`; else None."""
        return None

    def live(self, recorded: Any) -> Any:
        """The same with a record replaced by the network that was `recorded`, to be run again."""
        return self

    def without_methods(self) -> Any:
        """The same without the methods of its members, for a student that reads none of them."""
        return self

    @property
    def each_network(self) -> list[Network]:
        """The networks that are run while the student trains."""
        return []

    @property
    def record_folders(self) -> dict[str, str]:
        """The folders of its records by name; a single one has the empty name."""
        return {}

    def with_networks(self, change: Callable[[Network], Network]) -> TeacherRecipe:
        """The same teacher with each of its networks changed."""
        return self


FROM_DATA = ("classes", "channels", "sample_rate", "seed", "name")
"""What a network has from the data, so that it is no option."""


class Network(TeacherRecipe):
    """A network by name, with its number of outputs (None: the data's classes), weights and input.

    `size`: images are resized to it before this network reads them; None: they stay as they are,
    for networks of other packages at the size that they were trained with. `interpolation`: by
    which they are (antialiased); None: as the network was trained, else bilinear. `input`: None:
    as the network was trained, else measured on the training images. `classifier`: None: as in the
    weights; `new`: freshly initialized; or a safetensors file with the `weight` and `bias`
    of one layer. `reuse`: it ends in the classifier of its teacher.
    """

    tag: ClassVar[str] = "a network"

    network: str
    classes: Count | None = None
    options: dict[str, Option] = {}
    weights: str | None = None
    input: AnInput | None = None
    size: Pixels | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None
    classifier: str | None = None
    reuse: Reuse | None = None

    @field_validator("options")
    @classmethod
    def _of_its_own(cls, value: dict[str, Any]) -> dict[str, Any]:
        if known := [key for key in FROM_DATA if key in value]:
            raise PydanticCustomError(
                "from_data",
                f"should be without {known[0]}, which a network has from the data:",
            )
        return value

    @property
    def online(self) -> Network:
        """Itself."""
        return self

    @property
    def each_network(self) -> list[Network]:
        """Itself alone."""
        return [self]

    def with_networks(self, change: Callable[[Network], Network]) -> Network:
        """Itself changed."""
        return change(self)
