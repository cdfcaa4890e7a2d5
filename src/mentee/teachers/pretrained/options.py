"""Options by name, as a recipe or a command line gives them: known ones, of the right type."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mentee.errors import MenteeError, suggest


def checked_options(
    title: str,
    function: Callable[..., object],
    options: Mapping[str, Any],
    *,
    internal: Sequence[str] = (),
    what: str = "option",
) -> dict[str, Any]:
    """Refuse an option that a function does not have, or a value of another type.

    Its keyword-only parameters are the options, but for `internal` ones; where it takes any
    (`**options`), those it does not name are passed on. A list becomes a tuple where one is asked
    for.

    Example:
        >>> def build(*, size: int = 3) -> None: ...
        >>> checked_options("it", build, {"size": "abc"})
        Traceback (most recent call last):
        mentee.errors.MenteeError: it: option size is 'abc': input should be a valid integer, ...
    """
    parameters = inspect.signature(function).parameters.values()
    hints = typing.get_type_hints(function.func if isinstance(function, partial) else function)
    named = (each for each in parameters if each.kind is each.KEYWORD_ONLY)
    known = {each.name: each.default for each in named if each.name not in internal}
    passed_on = any(each.kind is each.VAR_KEYWORD for each in parameters)
    checked = {}
    for name, value in options.items():
        if name not in known and not passed_on:
            raise MenteeError(f"{title} has no {what} {name!r}; {suggest(name, known)}")
        try:
            checked[name] = TypeAdapter(hints[name] if name in known else Any).validate_python(
                value
            )
        except ValidationError as error:
            message = error.errors()[0]["msg"].replace("an instance of Sequence", "a list")
            raise MenteeError(
                f"{title}: {what} {name} is {value!r}: {message[0].lower()}{message[1:]}"
                f"{_usual(known[name])}"
            ) from None
    return checked


def _usual(default: object) -> str:
    """What an option is where it is left out, as one would write it."""
    if default is None or default is inspect.Parameter.empty:
        return ""
    return f"; by default {list(default) if isinstance(default, tuple) else default}"
