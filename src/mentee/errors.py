"""The few exceptions of the package: each text has the value, what was expected, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class MenteeError(ValueError):
    """A mistake that the user can mend; the command line prints its text and no traceback."""


class RecipeError(MenteeError):
    """Something in a recipe is wrong; the text lists every problem found."""


class DataError(MenteeError):
    """The data cannot be read, or do not fit the recipe."""


class LayerError(MenteeError):
    """A network has no such layer, or no output there."""


class PairError(MenteeError):
    """A method does not fit this teacher and this student."""


class RunError(MenteeError):
    """A run folder cannot be written, read or resumed."""


class ProcessLostError(RunError):
    """Another process of those that train together has ended.

    Attributes:
        printed: whether another one of them has printed it.
    """

    def __init__(self, text: str, *, printed: bool = False) -> None:
        super().__init__(text)
        self.printed = printed


class DivergedError(MenteeError):
    """The loss is no longer a finite number."""


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelled name: the close ones, or all of them where there are few.

    It ends an error message, without a full stop.

    Example:
        >>> suggest("cktv", ["kd", "crd", "cktf"])
        "did you mean 'cktf'? (known: cktf, crd, kd)"
    """
    names, name = sorted(set(known)), name[:100]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    listing = ", ".join(names) if len(names) <= 12 else ", ".join(close)
    if not close:
        return f"known: {', '.join(names[:40])}" if names else "there are none"
    hint = " or ".join(repr(each) for each in close)
    return (
        f"did you mean {hint}? (known: {listing})" if len(names) <= 12 else f"did you mean {hint}?"
    )


def first_few(names: Sequence[str], most: int = 5, mark: str = ", ") -> str:
    """The first of some names, and how many more there are.

    Example:
        >>> first_few(["stem", "stages", "fc"], most=2)
        'stem, stages and 1 more'
    """
    more = len(names) - most
    return mark.join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def shortened(text: str, most: int = 80) -> str:
    """A text that a user gave, cut for a message where it is long, on one line.

    Example:
        >>> shortened("a" * 1000, most=4)
        'aaaa... (1,000 characters)'
    """
    line = " ".join(text[: most + 1].replace("\0", "\\0").split())
    return line if len(text) <= most else f"{line[:most]}... ({len(text):,} characters)"


def shown(value: object, most: int = 80) -> str:
    """A value that a user gave, as Python writes it, cut for a message where that is long.

    Example:
        >>> shown("1:30"), shown(10**5000)
        ("'1:30'", 'a number of more than 4,000 digits')
    """
    try:
        return shortened(repr(value), most)
    except ValueError:  # Python writes no number of so many digits
        return "a number of more than 4,000 digits"
