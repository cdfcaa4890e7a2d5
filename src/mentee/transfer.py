"""Binds a method to one teacher and one student: builds its terms, owns the trained heads.

The networks themselves are never held here: features come in, losses go out.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from mentee.agree import AGREEMENTS, Agreement
from mentee.agree.contrast import log_normaliser
from mentee.errors import MenteeError, PairError, suggest
from mentee.memory import MEMORIES, Memory
from mentee.methods import Method, Term, Word
from mentee.parallel import gather
from mentee.represent import REPRESENTATIONS, Shape, Side
from mentee.types import Batch, Features


@dataclass(frozen=True)
class Bound:
    """A term at one place of one pair.

    Attributes:
        name: `contrast/stages.1`; unique in the method.
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


class Transfer(nn.Module):
    """The terms of a method for one pair, with the heads that are trained and then dropped.

    Args:
        method: the row.
        student: what the student says at the places of `wanted`: `{"stages.0": (16, 32, 32), ...}`.
        teacher: the same of the teacher.
        groups: `[n]`, class of each training example, or None where an example has not one class.
        examples: n, number of training examples.
        seed: of the heads and of the memories' draws.

    Raises:
        PairError: the method does not fit this pair.
        MenteeError: a word or a number of the method is not known.
    """

    def __init__(
        self,
        method: Method,
        student: Mapping[str, Shape],
        teacher: Mapping[str, Shape],
        *,
        groups: Tensor | None,
        examples: int,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.method = method
        self.sides = nn.ModuleDict()
        self.memories: list[Memory] = []
        self.bound: list[Bound] = []
        self._widths: dict[str, int] = {}
        sites = [
            (term, *site)
            for term in method.terms
            if term.weight != 0
            for site in pair_places(term, student, teacher)
        ]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for term, s, t in sites:
                self._bind(term, s, t, student[s], teacher[t])
        self._remember(groups, examples, seed)
        self.weights = {"task": method.task} | {b.name: b.term.weight for b in self.bound}

    def _bind(self, term: Term, s: str, t: str, student: Shape, teacher: Shape) -> None:
        agreement = look_up("agreement", term.agree, AGREEMENTS)
        check_numbers(term.agree, agreement.function, given=("negatives", "log_z", "chunk"))
        build = look_up("representation", term.represent, REPRESENTATIONS)
        check_numbers(term.represent, build)
        name = f"{term.agree.name}/{s if s == t else f'{s}~{t}'}"
        if any(name == other.name for other in self.bound):
            raise MenteeError(f"method {self.method.name!r} has {name} twice; add up their weights")
        sides = build(student, teacher, **term.represent.numbers)
        said = [shape_said(*each) for each in zip(sides, (student, teacher), strict=True)]
        if agreement.same_width:
            check_widths(name, *said)
        if agreement.memory and len(said[0]) != 1:
            raise PairError(
                f"{name}: a memory keeps a vector for each example, the representation has shape "
                f"{said[0]}; use one that gives vectors, such as project"
            )
        self._widths[name] = said[0][-1]
        self.sides[name.replace(".", "_")] = nn.ModuleList(sides)
        self.bound.append(Bound(name, s, t, term, agreement, None))

    def _remember(self, groups: Tensor | None, examples: int, seed: int) -> None:
        """Give the terms that ask for negatives a memory; those with equal ones share it."""
        kinds: dict[object, tuple[Word, int, list[Bound]]] = {}
        for bound in self.bound:
            if not bound.agreement.memory:
                continue
            word = bound.term.memory
            if word is None:
                raise MenteeError(
                    f"{bound.name} asks for negatives; give the term a memory: "
                    f"{', '.join(MEMORIES)}"
                )
            width = self._widths[bound.name]
            key = (word.name, tuple(sorted(word.numbers.items())), width)
            kinds.setdefault(key, (word, width, []))[2].append(bound)
        for word, width, members in kinds.values():
            numbers = dict(word.numbers)
            by_class = bool(numbers.pop("class_aware", True)) and groups is not None
            build = look_up("memory", word, MEMORIES)
            check_numbers(Word(word.name, numbers), build)
            if "seed" in inspect.signature(build).parameters:
                numbers = {"seed": seed} | numbers
            own = groups if by_class and groups is not None else torch.arange(examples)
            memory = build([b.name for b in members], own, width, **numbers)
            self.memories.append(memory)
            self.bound = [
                Bound(b.name, b.student, b.teacher, b.term, b.agreement, memory)
                if b in members
                else b
                for b in self.bound
            ]

    def side(self, bound: Bound) -> tuple[Side, Side]:
        """(the student's side, the teacher's) of a bound term."""
        student, teacher = typing.cast(nn.ModuleList, self.sides[bound.name.replace(".", "_")])
        return typing.cast(Side, student), typing.cast(Side, teacher)

    @torch.no_grad()
    def fixed(self, teacher: Features) -> dict[str, Tensor]:
        """The fixed part of the teacher's side, by term: all that the terms need of the teacher."""
        return {b.name: self.side(b)[1].fixed(teacher[b.teacher]) for b in self.bound}

    def begin(self, batch: Batch, step: int) -> None:
        """Choose the batch's negatives; call it before the batch's `forward`."""
        for memory in self.memories:
            memory.begin(batch.rows, step)

    def forward(self, student: Features, fixed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The unweighted value of each term, a scalar each.

        Args:
            student: what the student says at its places.
            fixed: what `fixed` gave for the same batch.
        """
        losses = {}
        for bound in self.bound:
            mine, theirs = self.side(bound)
            s = mine(mine.fixed(student[bound.student]))
            t = theirs(fixed[bound.name].detach())
            with torch.autocast(s.device.type, enabled=False):  # sums need float32 at least
                losses[bound.name] = self._agree(bound, at_least_float(s), at_least_float(t)).mean()
        return losses

    def _agree(self, bound: Bound, student: Tensor, teacher: Tensor) -> Tensor:
        numbers: dict[str, Any] = dict(bound.term.agree.numbers)
        if bound.memory is None:
            return bound.agreement.function(student, teacher, **numbers)
        negatives = bound.memory.read(bound.name, student, teacher)
        if bound.name not in bound.memory.log_z:  # fixed by the first batch, for ever
            own = log_normaliser(student, teacher, negatives=negatives, **numbers)
            bound.memory.log_z[bound.name] = gather(own.exp()[None]).mean(0).log()
        log_z = bound.memory.log_z[bound.name]
        return bound.agreement.function(
            student, teacher, negatives=negatives, log_z=log_z, **numbers
        )

    def write(self) -> None:
        """Let the memories take in the step; call it after the optimiser step."""
        for memory in self.memories:
            memory.write()

    def memory_state(self) -> dict[str, Tensor]:
        """What all memories hold."""
        return {
            f"{number}.{key}": value
            for number, memory in enumerate(self.memories)
            for key, value in memory.state().items()
        }

    def load_memory(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `memory_state` gave."""
        for number, memory in enumerate(self.memories):
            prefix = f"{number}."
            memory.load(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )


def wanted(method: Method) -> tuple[list[str], list[str]]:
    """The places a method reads: (the student's, the teacher's), each once."""
    places = [term.place for term in method.terms if term.weight != 0]
    students, teachers = zip(*places, strict=True) if places else ((), ())
    return list(dict.fromkeys(students)), list(dict.fromkeys(teachers))


def pair_places(
    term: Term, student: Mapping[str, Shape], teacher: Mapping[str, Shape]
) -> list[tuple[str, str]]:
    """Which place of the student meets which of the teacher.

    Where one network has more stages, the other's meet evenly spaced ones, the last the last.

    Example:
        >>> three, four = ({f"stages.{i}": (8, 4, 4) for i in range(n)} for n in (3, 4))
        >>> pair_places(Term("stages", Word("contrast"), 0.1), three, four)
        [('stages.0', 'stages.0'), ('stages.1', 'stages.2'), ('stages.2', 'stages.3')]
    """
    wanted_s, wanted_t = term.place
    ours, theirs = expand(wanted_s, student), expand(wanted_t, teacher)
    count = min(len(ours), len(theirs))
    return [(evenly(ours, i, count), evenly(theirs, i, count)) for i in range(count)]


def expand(place: str, shapes: Mapping[str, Shape]) -> list[str]:
    """`stages` to `stages.0`, `stages.1`, …; any other place to itself."""
    found = [name for name in shapes if name == place or name.startswith(f"{place}.")]
    if place in shapes:
        return [place]
    if not found:
        raise PairError(f"nothing is read at {place!r}; {suggest(place, shapes)}")
    return sorted(found, key=lambda name: int(name.rpartition(".")[2]))


def evenly(names: Sequence[str], number: int, count: int) -> str:
    """The `number`-th of `count` names that are evenly spaced, the last being the last."""
    return names[round((number + 1) * len(names) / count) - 1]


Entry = typing.TypeVar("Entry")


def look_up(kind: str, word: Word, table: Mapping[str, Entry]) -> Entry:
    """The table's entry of that name, or an error that names the close ones."""
    if word.name not in table:
        raise MenteeError(f"there is no {kind} {word.name!r}; {suggest(word.name, table)}")
    return table[word.name]


def check_numbers(word: Word, function: Callable[..., object], given: Sequence[str] = ()) -> None:
    """Refuse a number that the word does not have, or a value of another type.

    Args:
        word: a word of the table with its numbers.
        function: what it stands for; its keyword-only parameters are the numbers.
        given: parameters that the engine passes and a recipe may not.
    """
    subject = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(subject)
    known = {
        name: hints.get(name, object)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in given
    }
    for name, value in word.numbers.items():
        if name not in known:
            raise MenteeError(f"{word.name} has no number {name!r}; {suggest(name, known)}")
        try:
            TypeAdapter(known[name]).validate_python(value, strict=True)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise MenteeError(f"{word.name}.{name} is {value!r}: {message}") from None


@torch.no_grad()
def shape_said(side: Side, shape: Shape) -> Shape:
    """What a side makes of one example that is read with this shape."""
    return tuple(side(side.fixed(torch.zeros(1, *shape))).shape[1:])


def check_widths(name: str, *widths: Shape) -> None:
    """Refuse a pair whose representations an agreement cannot compare entry by entry."""
    if widths[0] == widths[1]:
        return
    if name == "kl/logits":
        raise PairError(
            f"{name}: the student has {widths[0][0]} classes, the teacher {widths[1][0]}; soft "
            "targets need the same classes in the same order. Use a method without kd (crd, cktf), "
            "or a teacher of these classes"
        )
    raise PairError(
        f"{name}: the student's representation has shape {widths[0]}, the teacher's {widths[1]}; "
        "expected equal ones: use a representation with a head, such as project"
    )


def at_least_float(x: Tensor) -> Tensor:
    """Half precision to float32, anything else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
