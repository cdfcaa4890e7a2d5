"""A term at one place of one pair, and what is asked of its words."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mentee.distillation.components import checked, look_up
from mentee.distillation.weights import AUX
from mentee.errors import MenteeError, PairError
from mentee.losses import LossSpec
from mentee.memory import Memory
from mentee.methods import Component, Term
from mentee.representations import REPRESENTATIONS, Adapter, Compose, FeatureShape, Shape


@dataclass(frozen=True)
class BoundTerm:
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
    agreement: LossSpec
    memory: Memory | None


GIVEN = ("negatives", "log_z", "chunk", "mask", "labels")
"""What the engine passes to an agreement and a recipe may not."""


@functools.cache
def takes(function: Callable[..., object], name: str) -> bool:
    """Whether a function has a parameter of that name."""
    return name in inspect.signature(function).parameters


def reads_others(site: tuple[Term, str, str]) -> bool:
    """Whether a term's representation reads the sides of others: it is bound after them."""
    return any(takes(builder(word), "other_adapters") for word in site[0].representation.chain)


def builder(word: Component) -> Callable[..., tuple[Adapter, Adapter]]:
    """What builds the two sides of a representation."""
    return look_up("representation", word, REPRESENTATIONS)


def sides_of(
    word: Component, shapes: tuple[FeatureShape, FeatureShape], offered: Mapping[str, object]
) -> tuple[Adapter, Adapter]:
    """Build the two sides of a representation, from the place outwards where it is a chain.

    Args:
        word: with checked numbers.
        shapes: what is read in the student and in the teacher, without the batch.
        offered: what a builder may ask for beyond its numbers.

    Raises:
        PairError: the representation does not fit the pair.
    """
    inner = None if word.of is None else sides_of(word.of, shapes, offered)
    if inner is not None:
        if type(inner[0]).align is not Adapter.align:
            raise PairError(
                f"{word}: what {word.of} compares depends on both sides, so nothing can be made of "
                "one of them; give the term this representation alone"
            )
        student, teacher = map(shape_said, inner, shapes)
        shapes = student, teacher
    build = builder(word)
    asked = {key: value for key, value in offered.items() if takes(build, key)}
    outer = build(*shapes, **word.params, **asked)
    return outer if inner is None else (Compose(inner[0], outer[0]), Compose(inner[1], outer[1]))


def checked_chain(word: Component) -> Component:
    """The same representation, its numbers and those of all it is of checked."""
    of = None if word.of is None else checked_chain(word.of)
    return replace(checked(word, builder(word), given=("pair_info", "other_adapters")), of=of)


def name_of(term: Term, s: str, t: str, others: Sequence[BoundTerm], method: str) -> str:
    """What a term is called; what sets it apart is named where another one has the name."""
    name = f"{term.loss.name}/{s if s == t else f'{s}~{t}'}"
    alike = [b.term for b in others if b.name.partition(" ")[0] == name]
    if any((a.representation, a.loss) == (term.representation, term.loss) for a in alike):
        raise MenteeError(f"method {method!r} has {name} twice; add up their weights")
    if not alike:
        return name
    of_word, of_agreement = (
        [f"{key}={value}" for word in words for key, value in word.params.items()]
        for words in (term.representation.chain, [term.loss])
    )
    word, taken = [" of ".join(names(term))], {b.name for b in others}
    whole = word + of_word + of_agreement
    if term.representation in [other.representation for other in alike]:
        ways = [of_agreement, word + of_agreement, whole]
    elif names(term) in [names(other) for other in alike]:
        ways = [word + of_word, whole]
    else:
        ways = [word, whole]
    longer = (f"{name} ({', '.join(way)})" for way in ways)
    return next(each for each in longer if each not in taken)


def names(term: Term) -> list[str]:
    """Of the words of its representation."""
    return [word.name for word in term.representation.chain]


def own_name(bound: BoundTerm) -> str:
    """What the own loss of a term's teacher side is called."""
    return f"{AUX}{bound.name}"


def blank(shape: FeatureShape) -> Any:
    """Zeros for one example that is read with this shape, or with these at several places."""
    if shape and isinstance(shape[0], tuple):
        return tuple(blank(each) for each in shape)
    return torch.zeros(1, *typing.cast(Shape, shape))


@torch.no_grad()
def shape_said(side: Adapter, shape: FeatureShape) -> Shape:
    """What a side makes of one example that is read with this shape."""
    return tuple(side(side.precompute(blank(shape))).shape[1:])


@torch.no_grad()
def shapes_said(
    sides: tuple[Adapter, Adapter], shapes: tuple[FeatureShape, FeatureShape]
) -> tuple[Shape, Shape]:
    """What is compared of one example that is read with these shapes: (student's, teacher's)."""
    said, other = (
        side(side.precompute(blank(each))) for side, each in zip(sides, shapes, strict=True)
    )
    met = sides[0].align(said, other)
    return tuple(met[0].shape[1:]), tuple(met[1].shape[1:])


def nothing(*sides: Adapter, device: torch.device) -> Tensor:
    """A loss of 0 that reaches all that is trained in some sides."""
    zero = torch.zeros((), device=device)
    trained = [p for side in sides for p in side.parameters() if p.requires_grad]
    return torch.stack([(p * 0).sum() for p in trained]).sum() if trained else zero


def at_least_float(x: Tensor) -> Tensor:
    """Half precision to float32, anything else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
