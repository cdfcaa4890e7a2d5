"""YAML as recipes and `--set` have it: nothing is guessed, and nothing may grow without bound."""

from __future__ import annotations

import re
from typing import Any

import yaml

from mentee.errors import RecipeError, shortened

DEEPEST = 32
"""Levels of nesting; a recipe has seven."""
LARGEST = 1_000_000
"""Values, each counted as often as an alias repeats it."""


class _Loader(yaml.SafeLoader):
    """Numbers as YAML 1.2 has them: 1e-3 is one; 1:30 and 2020-01-31 are texts."""

    yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader`, or a reader of YAML 1.1, would not take for the text that it is."""


_CHANGED = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
for _letter, _resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
    _others = [each for each in _resolvers if each[0] not in _CHANGED]
    _Loader.yaml_implicit_resolvers[_letter] = _others
for _reader in (_Loader, _Dumper):
    _reader.add_implicit_resolver(
        "tag:yaml.org,2002:int", re.compile(r"[-+]?\d[\d_]*$|0x[\da-fA-F_]+$"), list("-+0123456789")
    )
    _reader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(
            r"[-+]?(\.\d+|\d[\d_]*(\.\d*)?)([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
        ),
        list("-+.0123456789"),
    )


def parse_yaml(text: str) -> Any:
    """What a text holds: mappings, lists, numbers, texts.

    Raises:
        RecipeError: it is no YAML, has a key twice or a number that can be read in two ways
            (010), is nested too deep, or its aliases repeat too much.

    Example:
        >>> parse_yaml("{lr: 1e-3, at: 1:30, classes: [2020-01-31, 7]}")
        {'lr': 0.001, 'at': '1:30', 'classes': ['2020-01-31', 7]}
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise _too_deep() from None
    except yaml.YAMLError as error:
        raise RecipeError(shortened(str(error), 500)) from error
    except RecipeError:
        raise
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        # of what is behind a tag, such as !!int x, or of the parser itself, as of `0[:`
        raise RecipeError(f"a value is not of its tag: {shortened(str(error))}") from error


def dump_yaml(content: Any) -> str:
    """Content as YAML that `parse_yaml` reads as the same; keys stay in their order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _check(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """The values below a node, each as often as an alias repeats it; refuses what is unclear."""
    if depth > DEEPEST:
        raise _too_deep()
    if id(node) in sizes:
        return sizes[id(node)]
    if isinstance(node, yaml.ScalarNode):
        _check_number(node)
        return 1
    children = node.value
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        children = [each for pair in node.value for each in pair]
    sizes[id(node)] = LARGEST + 1  # an alias of itself never ends
    size = 1 + sum(_check(child, sizes, depth + 1) for child in children)
    if size > LARGEST:
        raise RecipeError(
            f"it holds more than {LARGEST:,} values{_line(node)}, aliases counted where they "
            "repeat; write out what is meant"
        )
    sizes[id(node)] = size
    return size


def _check_keys(node: yaml.MappingNode) -> None:
    keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    if len(keys) < len(node.value):
        raise RecipeError(f"a key is a list or a mapping{_line(node)}; expected a text")
    first: set[tuple[str, str]] = set()
    for key, (each, _) in zip(keys, node.value, strict=True):
        if key in first:
            name = shortened(key[1])
            raise RecipeError(f"the key {name} stands there twice{_line(each)}; leave one of them")
        first.add(key)


def _check_number(node: yaml.ScalarNode) -> None:
    if node.tag != "tag:yaml.org,2002:int":
        return
    digits = node.value.lstrip("-+").replace("_", "")
    if digits.isdigit() and len(digits) > 1 and digits[0] == "0":
        raise RecipeError(
            f"{shortened(node.value)} begins with 0{_line(node)}, which some read as an octal "
            f"number; write {shortened(digits.lstrip('0') or '0')}, or '{shortened(node.value)}' "
            "for a text"
        )
    if len(digits) > 40:
        raise RecipeError(f"a number has {len(digits):,} digits{_line(node)}; expected 40 at most")


def _line(node: yaml.Node) -> str:
    return f" (line {node.start_mark.line + 1})" if node.start_mark.line else ""


def _too_deep() -> RecipeError:
    return RecipeError(f"it is nested more than {DEEPEST} levels deep; expected a recipe")
