"""Recipes from files, names and mappings, with every problem reported at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mentee.errors import RecipeError, shortened, shown, suggest
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
from mentee.recipe.yaml_text import DEEPEST, dump_yaml, parse_yaml
from mentee.renamed import SINCE, new_key

LARGEST_FILE = 4 << 20
"""Bytes of a recipe: some 250,000 names of classes."""
MOST_PROBLEMS = 20
"""That a message lists."""
TOO_DEEP = f"should not be nested more than {DEEPEST} levels deep"


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
    texts = dict(_impossible(content))
    try:
        recipe = None if TOO_DEEP in texts.values() else Recipe.model_validate(content)
        if recipe is not None and not texts:
            return recipe
    except ValidationError as error:
        texts = {**_plain(error), **texts}
    problems = [
        f"{key}{' ' if text.startswith('is called') else ': '}{text}" for key, text in texts.items()
    ]
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    lines = [f"  - {problem}" for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"  - and {len(problems) - MOST_PROBLEMS:,} more")
    raise RecipeError("\n".join([f"{count} in {shortened(name, 200)}:", *lines]))


def _impossible(content: Any, key_path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """What no part of a recipe can be, whatever its schema: keys and problems."""
    key = shortened(".".join(key_path), 200)
    if len(key_path) > DEEPEST:
        yield key, TOO_DEEP
    elif isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(name, str):
                yield from _impossible(name, key_path)
                yield from _impossible(value, (*key_path, name))
            else:
                yield f"{key}.{shown(name)}".lstrip("."), "the key should be a text, in quotes"
    elif isinstance(content, (list, tuple)):
        for number, value in enumerate(content):
            yield from _impossible(value, (*key_path, str(number)))
    elif isinstance(content, str):
        if not content.isprintable() and ("\0" in content or not _encodable(content)):
            yield key, f"should be without the characters that no text may have: {shown(content)}"
    elif isinstance(content, int) and not -(2**63) <= content < 2**63:
        yield key, f"should be a number below 2^63 (9.2e18), not {shown(content)}"


def _encodable(text: str) -> bool:
    """Whether a text has no half of a surrogate pair."""
    try:
        return bool(text.encode("utf-8")) or True
    except UnicodeEncodeError:
        return False


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every key written out.

    Raises:
        RecipeError: it would be longer than what `read` reads.
    """
    text = dump_yaml(recipe.model_dump(mode="json"))
    if len(text.encode()) > LARGEST_FILE:
        raise RecipeError(
            f"the recipe of this run would take {len(text.encode()):,} bytes, more than "
            f"{LARGEST_FILE:,}, since it names every class ({len(recipe.data.classes or ()):,}); "
            "give them shorter names, or fewer"
        )
    return text


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(__file__).parent.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(source: str | Path) -> Path:
    """The file of a path or of a shipped recipe's name.

    Raises:
        RecipeError: there is neither.
    """
    name, names = str(source), shipped()
    if os.path.isfile(name):  # false, too, of a name that no file can have
        return Path(name)
    if name in names:
        return names[name]
    raise RecipeError(
        f"{shortened(name)} is neither a file nor a shipped recipe; {suggest(name[:80], names)}"
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RecipeError(f"it has {path.stat().st_size:,} bytes, more than {LARGEST_FILE:,}")
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecipeError) as error:
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
        raise RecipeError(f"--set {shortened(change)}: expected key=value, such as train.epochs=20")
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
        content[parts[-1]] = parse_yaml(value)
    except RecipeError as error:
        raise RecipeError(
            f"--set {shortened(change)}: {shown(value)} is not a YAML value: {error}"
        ) from error


def _plain(error: ValidationError) -> dict[str, str]:
    """Keys and the problems that pydantic found there; branches of a union are joined."""
    texts: dict[str, str] = {}
    ends: dict[str, str] = {}
    known: dict[str, list[str]] = {}
    for problem in error.errors():
        *above, last = map(str, problem["loc"])
        key_path = [part for part in above if not _is_branch(part)]
        if problem["type"] == "extra_forbidden" or not _is_branch(last):
            key_path.append(last)  # an unknown key is one, whatever it looks like
        key = shortened(".".join(key_path), 200)
        message = problem["msg"][0].lower() + problem["msg"][1:]
        if problem["type"] == "extra_forbidden":
            if new := new_key(key_path):
                texts[key], known[new] = f"is called {new} since {SINCE}", key_path
                continue
            texts[key] = "there is no such key"
            if len(texts) <= MOST_PROBLEMS:
                texts[key] += f"; {suggest(key_path[-1], _keys(key_path[:-1]))}"
        elif problem["type"] == "missing":
            texts[key] = "is missing"
        elif key in texts:
            texts[key] += f", or {message.removeprefix('input should be ')}"
        else:
            texts[key], ends[key] = message, f", not {shown(problem['input'])}"
    for new in known:  # what stands there under its old name is not missing
        texts.pop(new, None)
    return {key: f"{text}{ends.get(key, '')}" for key, text in texts.items()}


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
    "constrained-int",
    "constrained-str",
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
