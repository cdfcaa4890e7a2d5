"""A term bound to one pair of layers, and the lookup and checking of its components."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from mentee.errors import MenteeError, PairError, suggest
from mentee.features.trace import evaluated
from mentee.losses import LossSpec
from mentee.memory import MEMORIES, Memory
from mentee.methods import Component, Term
from mentee.renamed import COMPONENTS, renamed
from mentee.representations import Adapter, Compose, FeatureShape, Shape
from mentee.types import LayerPair

Entry = typing.TypeVar("Entry")
Builder = Callable[..., tuple[Adapter, Adapter]]
"""`(student shape, teacher shape, **params)` to the adapters of a representation."""
AUX = "own/"
"""Before the name of a term: the auxiliary loss of its teacher-side adapter."""
ENGINE_ARGUMENTS = ("labels", "mask", "negatives", "log_z", "outputs", "chunk")
"""Arguments of a loss that the engine sets and a recipe may not."""


@dataclass(frozen=True)
class BoundTerm:
    """A term of a method at one pair of layers.

    Attributes:
        name: `contrast/stages.1`; unique in the method: the representation is added in brackets
            where another term has the same loss and layers.
        pair: the features of the student and of the teacher that it compares.
        term: the term of the method, with checked components.
        spec: its loss.
        memory: where its negatives come from.
    """

    name: str
    pair: LayerPair
    term: Term
    spec: LossSpec
    memory: Memory | None = None


def look_up(kind: str, component: Component, table: Mapping[str, Entry]) -> Entry:
    """The table's entry of that name, or an error that suggests close names."""
    if component.name not in table:
        if new := COMPONENTS.get(component.name):
            raise MenteeError(renamed(f"{kind} {component.name}", new))
        raise MenteeError(
            f"there is no {kind} {component.name!r}; {suggest(component.name, table)}"
        )
    return table[component.name]


def checked(
    component: Component, function: Callable[..., object], reserved: Sequence[str] = ()
) -> Component:
    """The same component with params of the types that its function declares.

    Args:
        component: with params.
        function: its keyword-only parameters are the params.
        reserved: keyword-only parameters that the engine sets.

    Raises:
        MenteeError: there is no such param, or its value is of another type.
    """
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    types = {
        name: hints.get(name, object)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in reserved
    }
    params = {}
    for name, value in component.params.items():
        if name not in types:
            raise MenteeError(f"{component.name} has no parameter {name!r}; {suggest(name, types)}")
        try:
            params[name] = TypeAdapter(types[name]).validate_python(value, strict=True)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise MenteeError(f"{component.name}.{name} is {value!r}: {message}") from None
    return replace(component, params=params)


@functools.cache
def takes(function: Callable[..., object], name: str) -> bool:
    """Whether a builder has a parameter of that name; asked once, where a method is bound."""
    return name in inspect.signature(function).parameters


def reads_other_adapters(term: Term, table: Mapping[str, Builder]) -> bool:
    """Whether a term's representation reads adapters of other terms: it is built after them."""
    chain = term.representation.chain
    return any(takes(look_up("representation", c, table), "other_adapters") for c in chain)


def build_adapters(
    component: Component,
    shapes: tuple[FeatureShape, FeatureShape],
    offered: Mapping[str, object],
    table: Mapping[str, Builder],
) -> tuple[Adapter, Adapter]:
    """The student-side and the teacher-side adapter of a representation.

    Args:
        component: with checked params; of a chain the innermost is built first.
        shapes: of the student's and of the teacher's features, without the batch.
        offered: further arguments, for the builders that take them.
        table: builders by name.

    Raises:
        PairError: the representation does not fit the pair.
    """
    inner = None if component.of is None else build_adapters(component.of, shapes, offered, table)
    if inner is not None:
        if type(inner[0]).align is not Adapter.align:
            raise PairError(
                f"{component}: what {component.of} compares depends on both networks, so nothing "
                "can be computed from one of them; give the term this representation alone"
            )
        shapes = output_shape(inner[0], shapes[0]), output_shape(inner[1], shapes[1])
    builder = look_up("representation", component, table)
    extra = {key: value for key, value in offered.items() if takes(builder, key)}
    outer = builder(*shapes, **component.params, **extra)
    return outer if inner is None else (Compose(inner[0], outer[0]), Compose(inner[1], outer[1]))


def checked_chain(component: Component, table: Mapping[str, Builder]) -> Component:
    """The same representation, its params and those of all that it is composed with checked."""
    of = None if component.of is None else checked_chain(component.of, table)
    builder = look_up("representation", component, table)
    return replace(checked(component, builder, reserved=("pair_info", "other_adapters")), of=of)


def term_name(term: Term, pair: LayerPair, others: Sequence[BoundTerm], method: str) -> str:
    """A unique name; where another term has the same loss and layers, what differs is added."""
    name = f"{term.loss.name}/{pair}"
    alike = [b.term for b in others if b.name.partition(" ")[0] == name]
    if any((a.representation, a.loss) == (term.representation, term.loss) for a in alike):
        raise MenteeError(f"method {method!r} has {name} twice; add up their weights")
    if not alike:
        return name
    of_representation, of_loss = (
        [f"{key}={value}" for component in chain for key, value in component.params.items()]
        for chain in (term.representation.chain, [term.loss])
    )
    chain, names = [" of ".join(chain_names(term))], {b.name for b in others}
    whole = chain + of_representation + of_loss
    if term.representation in [other.representation for other in alike]:
        candidates = [of_loss, chain + of_loss, whole]
    elif chain_names(term) in [chain_names(other) for other in alike]:
        candidates = [chain + of_representation, whole]
    else:
        candidates = [chain, whole]
    longer = (f"{name} ({', '.join(parts)})" for parts in candidates)
    return next(each for each in longer if each not in names)


def chain_names(term: Term) -> list[str]:
    """The names of its representation and of those that it is composed with."""
    return [component.name for component in term.representation.chain]


def blank(shape: FeatureShape) -> Any:
    """Zeros for one example of this shape, or of these at several layers."""
    if shape and isinstance(shape[0], tuple):
        return tuple(blank(each) for each in shape)
    return torch.zeros(1, *typing.cast(Shape, shape))


def output_shape(adapter: Adapter, shape: FeatureShape) -> Shape:
    """The shape of an adapter's output for features of this shape, without the batch."""
    return tuple(on_blanks(adapter, shape).shape[1:])


@torch.no_grad()
def on_blanks(adapter: Adapter, shape: FeatureShape) -> Tensor:
    """The output for zeros, in evaluation mode: they are no examples, and nothing is measured."""
    with evaluated(adapter):
        return adapter(adapter.precompute(blank(shape)))  # type: ignore[no-any-return]


@torch.no_grad()
def compared_shapes(
    adapters: tuple[Adapter, Adapter], shapes: tuple[FeatureShape, FeatureShape]
) -> tuple[Shape, Shape]:
    """The shapes of what a loss compares, (student's, teacher's), without the batch."""
    outputs = [on_blanks(a, s) for a, s in zip(adapters, shapes, strict=True)]
    student, teacher = adapters[0].align(*outputs)
    return tuple(student.shape[1:]), tuple(teacher.shape[1:])


def zero_loss(*adapters: Adapter, device: torch.device) -> Tensor:
    """A loss of 0 that reaches all that is trained in some adapters."""
    trained = [p for adapter in adapters for p in adapter.parameters() if p.requires_grad]
    zero = torch.zeros((), device=device)
    return torch.stack([(p * 0).sum() for p in trained]).sum() if trained else zero


def at_least_float(x: Tensor) -> Tensor:
    """Half precision to float32, anything else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def build_memories(
    bound_terms: Sequence[BoundTerm],
    widths: Mapping[str, int],
    classes: Tensor,
    rows: Tensor,
    read: Callable[[str, Tensor], Tensor],
    seed: int,
) -> tuple[list[Memory], list[BoundTerm]]:
    """The memories of terms that need negatives, and the terms with them; equal ones are shared.

    Args:
        bound_terms: of a method.
        widths: of what each compares, by its name.
        classes: `[n]`; examples of one class are no negatives of one another, where a memory is
            class-aware.
        rows: `[n]`, the same where it is not: all differ.
        read: gives the teacher's side of a term for some training examples, from a record.
        seed: of the draws.
    """
    kinds: dict[object, tuple[Component, int, list[str]]] = {}
    for bound in bound_terms:
        component = bound.term.memory
        if bound.spec.memory == "no" or (bound.spec.memory == "may" and not component):
            continue
        if component is None:
            raise MenteeError(
                f"{bound.name} needs negatives; give the term a memory: {', '.join(MEMORIES)}"
            )
        width = widths[bound.name]
        key = (component.name, tuple(sorted(component.params.items())), width)
        kinds.setdefault(key, (component, width, []))[2].append(bound.name)
    memories: dict[str, Memory] = {}
    for component, width, names in kinds.values():
        params: dict[str, Any] = dict(component.params)
        groups = classes if params.pop("class_aware", True) else rows
        build = look_up("memory", component, MEMORIES)
        params = dict(checked(Component(component.name, params), build).params)
        if takes(build, "seed"):
            params = {"seed": seed} | params
        reader = (read,) if takes(build, "read") else ()
        memories |= dict.fromkeys(names, build(names, groups, width, *reader, **params))
    shared = list({id(memory): memory for memory in memories.values()}.values())
    return shared, [replace(b, memory=memories.get(b.name, b.memory)) for b in bound_terms]


def aux_name(bound: BoundTerm) -> str:
    """The name of the auxiliary loss of a term's teacher-side adapter."""
    return f"{AUX}{bound.name}"


def staged(term: Term, pairs: list[LayerPair]) -> list[tuple[Term, LayerPair]]:
    """The term once for each pair, the earlier stages weighted down by its `stage_decay`."""
    last = len(pairs) - 1
    return [
        (replace(term, weight=term.weight * term.stage_decay ** (last - number)), pair)
        for number, pair in enumerate(pairs)
    ]
