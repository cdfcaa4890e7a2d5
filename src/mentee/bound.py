"""A term at one place of one pair, and what is asked of its words."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mentee.agree import Agreement
from mentee.errors import MenteeError
from mentee.memory import Memory
from mentee.methods import Term
from mentee.represent import REPRESENTATIONS, Places, Shape, Side
from mentee.words import look_up


@dataclass(frozen=True)
class Bound:
    """A term at one place of one pair.

    Attributes:
        name: `contrast/stages.1`; unique in the method, with the representation behind it where
            another has the same agreement and place.
        student: where the student is read.
        teacher: where the teacher is read.
        term: the row's summand that it came from.
        agreement: how the two are compared.
        memory: where its negatives come from.
    """

    name: str
    student: str
    teacher: str
    term: Term
    agreement: Agreement
    memory: Memory | None


GIVEN = ("negatives", "log_z", "chunk", "mask", "labels")
"""What the engine passes to an agreement and a recipe may not."""


OWN = "own/"
"""Before the name of a term: the own loss of its teacher's side."""


@functools.cache
def takes(function: Callable[..., object], name: str) -> bool:
    """Whether a function has a parameter of that name."""
    return name in inspect.signature(function).parameters


def reads_others(site: tuple[Term, str, str]) -> bool:
    """Whether a term's representation reads the sides of others: it is bound after them."""
    return takes(look_up("representation", site[0].represent, REPRESENTATIONS), "beside")


def name_of(term: Term, s: str, t: str, others: Sequence[Bound], method: str) -> str:
    """What a term is called; what sets it apart is named where another one has the name."""
    name = f"{term.agree.name}/{s if s == t else f'{s}~{t}'}"
    alike = [b.term for b in others if b.name.partition(" ")[0] == name]
    if any((a.represent, a.agree) == (term.represent, term.agree) for a in alike):
        raise MenteeError(f"method {method!r} has {name} twice; add up their weights")
    if not alike:
        return name
    of_word, of_agreement = (
        [f"{key}={value}" for key, value in word.numbers.items()]
        for word in (term.represent, term.agree)
    )
    word, taken = [term.represent.name], {b.name for b in others}
    whole = word + of_word + of_agreement
    if term.represent in [other.represent for other in alike]:
        ways = [of_agreement, word + of_agreement, whole]
    elif term.represent.name in [other.represent.name for other in alike]:
        ways = [word + of_word, whole]
    else:
        ways = [word, whole]
    names = (f"{name} ({', '.join(way)})" for way in ways)
    return next(each for each in names if each not in taken)


def own_name(bound: Bound) -> str:
    """What the own loss of a term's teacher side is called."""
    return f"{OWN}{bound.name}"


def blank(shape: Places) -> Any:
    """Zeros for one example that is read with this shape, or with these at several places."""
    if shape and isinstance(shape[0], tuple):
        return tuple(blank(each) for each in shape)
    return torch.zeros(1, *typing.cast(Shape, shape))


@torch.no_grad()
def shape_said(side: Side, shape: Places) -> Shape:
    """What a side makes of one example that is read with this shape."""
    return tuple(side(side.fixed(blank(shape))).shape[1:])


def nothing(*sides: Side, device: torch.device) -> Tensor:
    """A loss of 0 that reaches all that is trained in some sides."""
    zero = torch.zeros((), device=device)
    trained = [p for side in sides for p in side.parameters() if p.requires_grad]
    return torch.stack([(p * 0).sum() for p in trained]).sum() if trained else zero


def at_least_float(x: Tensor) -> Tensor:
    """Half precision to float32, anything else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
