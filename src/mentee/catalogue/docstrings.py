"""What the docstring of a word says: the one source of its formula and of its numbers' meaning."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from mentee.catalogue.latex import plain

FORMULA = re.compile(r"^\.\. math::(.*?)(?:\n\n|\Z)", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r":math:`([^`]*)`")
ENTRY = re.compile(r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", re.DOTALL | re.MULTILINE)
SECTION = r"^{}:\n(.*?)(?:\n\n|\Z)"


@dataclass(frozen=True)
class ParsedDocstring:
    """A docstring in parts, each in plain text.

    Attributes:
        summary: its first line.
        formula: its displayed formulas.
        arguments: what it says of each argument.
        memory: of what order the memory is that is needed, or kept.
    """

    summary: str
    formula: str
    arguments: dict[str, str]
    memory: str


def told(function: Callable[..., object]) -> ParsedDocstring:
    """What a function's or class's docstring says.

    Example:
        >>> from mentee.losses import l1
        >>> told(l1).formula, told(l1).arguments["student"]
        ('ℓ_i = 1/d Σ_c |x_ic − y_ic|', '`[b, ...]`.')
    """
    text = inspect.getdoc(function) or ""
    arguments = re.search(SECTION.format("Args"), text, re.DOTALL | re.MULTILINE)
    memory = re.search(r"^Memory: (.*?)\.(?:\s|$)", text, re.DOTALL | re.MULTILINE)
    return ParsedDocstring(
        _line(text.partition("\n\n")[0]),
        "; ".join(plain(found) for found in FORMULA.findall(text)),
        {name: _line(said) for name, said in ENTRY.findall(arguments[1] if arguments else "")},
        _line(memory[1]) if memory else "",
    )


def _line(text: str) -> str:
    """On one line, with formulas in plain text."""
    return " ".join(INLINE.sub(lambda found: plain(found[1]), text).split())
