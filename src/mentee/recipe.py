"""The recipe: a strict schema, every problem said at once, nothing left open once resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mentee.errors import RecipeError, suggest
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


def read(given: str | Path | Mapping[str, Any] | Recipe, changes: Sequence[str] = ()) -> Recipe:
    """A recipe from a file, a shipped name or a mapping.

    Args:
        given: a YAML file, the name of a shipped recipe, or the content itself.
        changes: `a.b=c`, each a dotted key and a YAML value, applied last.

    Returns:
        The recipe, checked.

    Raises:
        RecipeError: with every problem found, a line each.

    Example:
        >>> recipe = read({"data": "embedded:digits", "student": "resnet8-cifar"},
        ...               ["train.epochs=2"])
        >>> recipe.train.epochs, recipe.student.network
        (2, 'resnet8-cifar')
    """
    if isinstance(given, Recipe):
        content, name = given.model_dump(), "the recipe"
    elif isinstance(given, Mapping):
        content, name = dict(given), "the recipe"
    else:
        content, name = _content(find_recipe(given)), str(given)
    if isinstance(content.get("data"), str):
        content["data"] = {"source": content["data"]}
    for change in changes:
        _change(content, change)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        problems = [f"  - {problem}" for problem in _plain(error)]
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise RecipeError("\n".join([f"{count} in {name}:", *problems])) from None


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every key written out."""
    content = recipe.model_dump(mode="json")
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, which YAML 1.1 takes for a text."""


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that `_Loader` would take for numbers."""


for _reader in (_Loader, _Dumper):
    _reader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
        list("-+0123456789"),
    )


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(__file__).parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(given: str | Path) -> Path:
    """The file of a path or of a shipped recipe's name.

    Raises:
        RecipeError: there is neither.
    """
    path, names = Path(given), shipped()
    if path.is_file():
        return path
    if str(given) in names:
        return names[str(given)]
    raise RecipeError(
        f"{given} is neither a file nor a shipped recipe; {suggest(str(given), names)}"
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds {type(content).__name__}, expected keys such as data:")
    return content


def _change(content: dict[str, Any], change: str) -> None:
    """Apply one `a.b=c`; what stands behind `method.numbers.` and `.weights.` is one key."""
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {change}: expected key=value, such as train.epochs=20")
    parts = key.split(".")
    if parts[:2] in (["method", "numbers"], ["method", "weights"]):
        parts = [*parts[:2], ".".join(parts[2:])]
    elif len(parts) == 1 and parts[0] == "method":
        parts = ["method", "name"]
    for part in parts[:-1]:
        inner = content.get(part)
        if isinstance(inner, str):
            inner = {"network" if part in ("student", "teacher") else "name": inner}
        content[part] = dict(inner) if isinstance(inner, Mapping) else {}
        content = content[part]
    try:
        content[parts[-1]] = yaml.load(value, _Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {change}: {value!r} is not a YAML value: {error}") from error


def _plain(error: ValidationError) -> list[str]:
    """The problems that pydantic found, a sentence for each key; branches of a union are joined."""
    texts: dict[str, str] = {}
    ends: dict[str, str] = {}
    for problem in error.errors():
        place = [str(part) for part in problem["loc"] if not _is_branch(str(part))]
        key, message = ".".join(place), problem["msg"][0].lower() + problem["msg"][1:]
        if problem["type"] == "extra_forbidden":
            texts[key] = f"there is no such key; {suggest(place[-1], _keys(place[:-1]))}"
        elif problem["type"] == "missing":
            texts[key] = "is missing"
        elif key in texts:
            texts[key] += f", or {message.removeprefix('input should be ')}"
        else:
            texts[key], ends[key] = message, f", not {problem['input']!r}"
    return [f"{key}: {text}{ends.get(key, '')}" for key, text in texts.items()]


def _is_branch(part: str) -> bool:
    """Pydantic names the branch of a union in its path; a reader of the recipe knows of none."""
    return part in ("str", "float", "int", "bool", "Input", "constrained-float") or "[" in part


def _keys(place: Sequence[str]) -> list[str]:
    """The keys that a part of the recipe has."""
    parts: dict[str, type[BaseModel]] = {
        "": Recipe,
        "data": Data,
        "student": Network,
        "teacher": Network,
        "method": MethodRecipe,
        "train": Train,
        "select": Select,
        "save": Save,
        "input": Input,
        "terms": TermRecipe,
    }
    named = [part for part in place if not part.isdigit()]
    model = parts.get(named[-1] if named else "", WordRecipe)
    return list(model.model_fields)
