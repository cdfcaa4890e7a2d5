"""The table: every method is a row *places × representation × agreement × weight*.

    L = task · L_task + Σ_k  w_k · agree_k(represent_S,k(S_k), represent_T,k(T_k))

Names, numbers and papers only; what the words do is looked up where a row is bound to a pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from mentee.errors import MenteeError, suggest

Number: TypeAlias = int | float | bool | str | None


@dataclass(frozen=True)
class Word:
    """A representation, an agreement or a memory by name, with its numbers.

    Example:
        >>> Word("kl", {"temperature": 4.0})
        Word(name='kl', numbers={'temperature': 4.0})
    """

    name: str
    numbers: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Term:
    """One summand of a method.

    Attributes:
        places: where both networks are read (`stages` stands for one term a stage), or a pair
            (the student's place, the teacher's).
        agree: how the two are compared.
        weight: what the comparison is multiplied by.
        represent: what is compared.
        memory: where negatives come from, for an agreement that asks for them.
    """

    places: str | tuple[str, str]
    agree: Word
    weight: float
    represent: Word = Word("as_is")
    memory: Word | None = None

    @property
    def place(self) -> tuple[str, str]:
        """(the student's place, the teacher's)."""
        return (self.places, self.places) if isinstance(self.places, str) else self.places


@dataclass(frozen=True)
class Method:
    """A named list of terms.

    Attributes:
        name: the row's name.
        terms: its summands, beside the task's loss.
        task: weight of the task's loss.
        added: the summands where the row is added to others, if they weigh otherwise there.
        about: one line: what it does, and when to use it.
        source: the paper.
    """

    name: str
    terms: tuple[Term, ...] = ()
    task: float = 1.0
    added: tuple[Term, ...] | None = None
    about: str = ""
    source: str = ""


def _soft_targets(weight: float) -> Term:
    return Term("logits", Word("kl", {"temperature": 4.0}), weight)


def _contrast(place: str, weight: float, *, draw: str = "shared", batch_axis: bool = False) -> Term:
    """CRD's sentence at one place: own heads, own bank, negatives of other classes."""
    return Term(
        place,
        Word("contrast", {"temperature": 0.1}),
        weight,
        Word("project", {"width": 128, "batch_axis": batch_axis}),
        Word("bank", {"negatives": 16384, "draw": draw, "momentum": 0.5, "class_aware": True}),
    )


_CKTF = (_contrast("stem", 0.1), _contrast("stages", 0.1), _contrast("embedding", 0.8))

_ROWS = (
    Method("none", about="No teacher: the student from scratch, the yardstick of every other row."),
    Method(
        "kd",
        (_soft_targets(0.9),),
        task=0.1,
        added=(_soft_targets(1.0),),
        about="Softened logits: cheap, needs a teacher of the same classes.",
        source="Hinton et al. 2015, arXiv:1503.02531",
    ),
    Method(
        "crd",
        (_contrast("embedding", 0.8),),
        about="Contrast of the embedding: any two networks, also of other classes.",
        source="Tian et al. 2020, arXiv:1910.10699",
    ),
    Method(
        "cktf",
        _CKTF,
        about="Contrast at the stem, every stage and the embedding: structure at every depth.",
        source="Zhao et al. 2023, arXiv:2303.07599",
    ),
    Method(
        "cktf+kd",
        (*_CKTF, _soft_targets(1.0)),
        about="CKTF and softened logits together: the paper's strongest row.",
        source="Zhao et al. 2023, arXiv:2303.07599",
    ),
    Method(
        "cktf-exact",
        (
            _contrast("stem", 0.1, draw="exact"),
            _contrast("stages", 0.1, draw="exact", batch_axis=True),
            _contrast("embedding", 0.8, draw="exact"),
        ),
        about="CKTF as its authors' code has it (batch-axis norm, padding, K draws per anchor): "
        "for reproduction; slow, and an example's representation depends on its batch.",
        source="Zhao et al. 2023, arXiv:2303.07599",
    ),
)

METHODS: dict[str, Method] = {row.name: row for row in _ROWS}
"""Every row by name."""


def find(name: str, rows: Mapping[str, Method] = METHODS) -> Method:
    """A row of the table, or a sum of rows written `a+b`.

    Args:
        name: `cktf`, or `cktf+kd`, or any other sum of rows.
        rows: the table to look in; add rows of your own by `METHODS | {row.name: row}`.

    Returns:
        The row; of a sum, all summands with the task's loss at weight 1.

    Raises:
        MenteeError: there is no such row; the close ones are named.

    Example:
        >>> [term.weight for term in find("crd+kd").terms]
        [0.8, 1.0]
    """
    if name in rows:
        return rows[name]
    parts = [part.strip() for part in name.split("+")]
    for part in parts:
        if part not in rows:
            raise MenteeError(f"there is no method {part!r}; {suggest(part, rows)}")
    if len(set(parts)) < len(parts):
        raise MenteeError(f"method {name!r} names a row twice; give the row another weight instead")
    summands = [rows[part] for part in parts]
    return Method(
        name,
        tuple(term for row in summands for term in (row.terms if row.added is None else row.added)),
        about=" + ".join(row.name for row in summands),
        source="; ".join(row.source for row in summands if row.source),
    )


def adjust(
    method: Method,
    numbers: Mapping[str, Number],
    weights: Mapping[str, float],
) -> Method:
    """The same row with other numbers and weights.

    Args:
        method: a row.
        numbers: `{"contrast.temperature": 0.07}` for every term that uses the word, or
            `{"stages.project.grid": 1}` for the term at one place; `memory.` stands for
            whichever memory a term has, and `memory.kind` exchanges it (`bank`, `queue`, `batch`).
        weights: `{"task": 0.5, "stages": 0.2, "contrast": 0.4}`: by place or by agreement;
            a place wins.

    Returns:
        A new row of the same name.

    Raises:
        MenteeError: a key meets no term of this method.

    Example:
        >>> row = adjust(find("cktf"), {"memory.negatives": 4096}, {"stem": 0.0})
        >>> row.terms[0].weight, row.terms[1].memory.numbers["negatives"]
        (0.0, 4096)
    """
    met: set[str] = {"task"}
    terms = tuple(_adjust(term, numbers, weights, met) for term in method.terms)
    unmet = [key for key in (*numbers, *weights) if key not in met]
    if unmet:
        known = sorted({word for term in method.terms for word in _names(term)})
        raise MenteeError(
            f"method {method.name!r} has nothing that {', '.join(map(repr, unmet))} could change; "
            f"its places and words are {', '.join(known) or 'none'}"
        )
    return replace(method, terms=terms, task=weights.get("task", method.task))


def _names(term: Term) -> set[str]:
    words = {term.place[0], term.represent.name, term.agree.name}
    return words | {"memory"} if term.memory else words


def _adjust(
    term: Term, numbers: Mapping[str, Number], weights: Mapping[str, float], met: set[str]
) -> Term:
    place, kind = term.place[0], term.memory.name if term.memory else None
    changes: dict[str, dict[str, Number]] = {"represent": {}, "agree": {}, "memory": {}}
    slots = {term.represent.name: "represent", term.agree.name: "agree"}
    if term.memory:
        slots["memory"] = "memory"
    # The shorter keys first, so that one that names a place has the last word.
    for key, value in sorted(numbers.items(), key=lambda item: item[0].count(".")):
        head, _, number = key.rpartition(".")
        word = head.removeprefix(f"{place}.")
        if word in slots:
            changes[slots[word]][number] = value
            met.add(key)
    if term.memory and "kind" in changes["memory"]:
        kind = str(changes["memory"].pop("kind"))
    for key in (term.agree.name, place):
        met.update({key} & weights.keys())
    weight = weights.get(place, weights.get(term.agree.name, term.weight))
    memory = None if term.memory is None or kind is None else _other_memory(term.memory, kind)
    return replace(
        term,
        weight=weight,
        represent=_with(term.represent, changes["represent"]),
        agree=_with(term.agree, changes["agree"]),
        memory=memory and _with(memory, changes["memory"]),
    )


def _with(word: Word, changes: Mapping[str, Number]) -> Word:
    return replace(word, numbers={**word.numbers, **changes}) if changes else word


def _other_memory(memory: Word, kind: str) -> Word:
    """The same memory, or another kind with the numbers that every kind has."""
    if kind == memory.name:
        return memory
    return Word(kind, {k: v for k, v in memory.numbers.items() if k == "class_aware"})
