"""What a word of a method stands for, and which numbers it takes."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from mentee.errors import MenteeError, suggest
from mentee.methods import Component
from mentee.renamed import COMPONENTS, renamed

Entry = typing.TypeVar("Entry")


def look_up(kind: str, word: Component, table: Mapping[str, Entry]) -> Entry:
    """The table's entry of that name, or an error that names the close ones."""
    if word.name not in table:
        if new := COMPONENTS.get(word.name):
            raise MenteeError(renamed(f"{kind} {word.name}", new))
        raise MenteeError(f"there is no {kind} {word.name!r}; {suggest(word.name, table)}")
    return table[word.name]


def checked(
    word: Component, function: Callable[..., object], given: Sequence[str] = ()
) -> Component:
    """Refuse a number that the word does not have, or a value of another type.

    Args:
        word: a word of the table with its numbers.
        function: what it stands for; its keyword-only parameters are the numbers.
        given: parameters that the engine passes and a recipe may not.

    Returns:
        The word with its numbers as the function wants them: a whole one where a fraction is asked
        for has become one.

    Raises:
        MenteeError: there is no such number, or its value is of another type.
    """
    subject = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(subject)
    known = {
        name: hints.get(name, object)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in given
    }
    numbers = {}
    for name, value in word.params.items():
        if name not in known:
            raise MenteeError(f"{word.name} has no number {name!r}; {suggest(name, known)}")
        try:
            numbers[name] = TypeAdapter(known[name]).validate_python(value, strict=True)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise MenteeError(f"{word.name}.{name} is {value!r}: {message}") from None
    return replace(word, params=numbers)
