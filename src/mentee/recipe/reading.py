"""Recipes from files, names and mappings, with every problem reported at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mentee.errors import RecipeError, suggest
from mentee.recipe.method import ComponentRecipe, MethodRecipe, TermRecipe
from mentee.recipe.networks import Input, Network, Reuse
from mentee.recipe.probe import Probe, SteppedLayer, Tune
from mentee.recipe.schema import (
    Data,
    Domain,
    Monitor,
    Recipe,
    Save,
    Select,
    TaskRecipe,
    Train,
    Unlabeled,
)
from mentee.recipe.teachers import EmaRecipe, Ensemble, MultiRecipe, RecordedRecipe
from mentee.renamed import SINCE, new_key


def read(source: str | Path | Mapping[str, Any] | Recipe, changes: Sequence[str] = ()) -> Recipe:
    """A recipe from a file, a shipped name or a mapping.

    Args:
        source: a YAML file, the name of a shipped recipe, or the content itself.
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
    if isinstance(source, Recipe):
        content, name = source.model_dump(), "the recipe"
    elif isinstance(source, Mapping):
        content, name = dict(source), "the recipe"
    else:
        content, name = _content(find_recipe(source)), str(source)
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
    folder = Path(__file__).parent.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(source: str | Path) -> Path:
    """The file of a path or of a shipped recipe's name.

    Raises:
        RecipeError: there is neither.
    """
    path, names = Path(source), shipped()
    if path.is_file():
        return path
    if str(source) in names:
        return names[str(source)]
    raise RecipeError(
        f"{source} is neither a file nor a shipped recipe; {suggest(str(source), names)}"
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
    """Apply one `a.b=c`; what stands behind `method.params.` and `.weights.` is one key.

    `method=ec` is the method as the table has it; `method.name=ec` keeps params and weights.
    """
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {change}: expected key=value, such as train.epochs=20")
    parts = key.split(".")
    if parts[:2] in (["method", "params"], ["method", "weights"]):
        parts = [*parts[:2], ".".join(parts[2:])]
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
    known: dict[str, list[str]] = {}
    for problem in error.errors():
        key_path = [str(part) for part in problem["loc"] if not _is_branch(str(part))]
        key, message = ".".join(key_path), problem["msg"][0].lower() + problem["msg"][1:]
        if problem["type"] == "extra_forbidden":
            if new := new_key(key_path):
                texts[key], known[new] = f"is called {new} since {SINCE}", key_path
                continue
            texts[key] = f"there is no such key; {suggest(key_path[-1], _keys(key_path[:-1]))}"
        elif problem["type"] == "missing":
            texts[key] = "is missing"
        elif key in texts:
            texts[key] += f", or {message.removeprefix('input should be ')}"
        else:
            texts[key], ends[key] = message, f", not {problem['input']!r}"
    for new in known:  # what stands there under its old name is not missing
        texts.pop(new, None)
    return [
        f"{key}{' ' if text.startswith('is called') else ': '}{text}{ends.get(key, '')}"
        for key, text in texts.items()
    ]


BRANCHES = (
    "str",
    "float",
    "int",
    "bool",
    "Input",
    "AudioInput",
    "TextInput",
    "a network",
    "a record",
    "an ensemble",
    "several",
    "an average",
    "constrained-float",
)


def _is_branch(part: str) -> bool:
    """Pydantic names the branch of a union in its path; a reader of the recipe knows of none."""
    return part in BRANCHES or "[" in part


def _keys(key_path: Sequence[str]) -> list[str]:
    """The keys that a part of the recipe has."""
    parts: dict[str, type[BaseModel]] = {
        "": Recipe,
        "data": Data,
        "task": TaskRecipe,
        "student": Network,
        "teacher": Network,
        "networks": Network,
        "teachers": Network,
        "method": MethodRecipe,
        "methods": MethodRecipe,
        "train": Train,
        "monitor": Monitor,
        "unlabeled": Unlabeled,
        "probe": Probe,
        "layer": SteppedLayer,
        "finetune": Tune,
        "select": Select,
        "save": Save,
        "input": Input,
        "reuse": Reuse,
        "terms": TermRecipe,
    }
    named = [part for part in key_path if not part.isdigit()]
    model = parts.get(named[-1] if named else "", ComponentRecipe)
    kinds: tuple[type[BaseModel], ...] = ()
    if "out_of_domain" in named:
        model = Domain
    elif named == ["teacher"]:
        kinds = (RecordedRecipe, Ensemble, MultiRecipe, EmaRecipe)
    elif named[:-1] == ["teacher", "teachers"]:
        model, kinds = Network, (RecordedRecipe, Ensemble)
    elif named[:-1] == ["teacher", "methods"]:
        model = MethodRecipe
    return [*model.model_fields, *(key for kind in kinds for key in kind.model_fields)]
