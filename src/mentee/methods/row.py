"""What a row is made of: words with numbers, summands, and the named list of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

Number: TypeAlias = int | float | bool | str | None


@dataclass(frozen=True)
class Component:
    """A representation, an agreement or a memory by name, with its numbers.

    Attributes:
        name: of the word.
        params: those that are not its defaults.
        of: a representation may be one of another: `project` of `attention`. None: it is of what is
            read at the place.

    Example:
        >>> str(Component("project", {"width": 64}, Component("attention")))
        'project(width=64) of attention'
    """

    name: str
    params: Mapping[str, Number] = field(default_factory=dict)
    of: Component | None = None

    @property
    def chain(self) -> tuple[Component, ...]:
        """The word and those it is of, the one next to the place last."""
        return (self,) if self.of is None else (self, *self.of.chain)

    def over(self, inner: Component) -> Component:
        """The same word of another, below all that it is of.

        Example:
            >>> str(Component("project").over(Component("attention")))
            'project of attention'
        """
        return replace(self, of=inner if self.of is None else self.of.over(inner))

    def __str__(self) -> str:
        numbers = ", ".join(f"{key}={value}" for key, value in self.params.items())
        said = f"{self.name}({numbers})" if numbers else self.name
        return said if self.of is None else f"{said} of {self.of}"


@dataclass(frozen=True)
class Term:
    """One summand of a method.

    Attributes:
        layers: where both networks are read (`stages` stands for one term a stage, `stem&stages`
            for all of them together), or a pair (the student's place, the teacher's).
        loss: how the two are compared.
        weight: what the comparison is multiplied by.
        representation: what is compared.
        memory: where negatives come from, for an agreement that asks for them.
        stage_decay: of several stages, what each weighs in proportion to the next coarser one.
        exclusive_warmup: share of the steps that the term has for itself: it prepares the student,
            without the task and other terms, and counts no more afterwards. 0: it counts all the
            time.
        ramp: share of the steps over which the weight rises in a line from 0, from where the term
            begins to count. 0: it is whole at once.
        teacher: whose it is, where several teach; its place bears the name. Empty: there is one.
    """

    layers: str | tuple[str, str]
    loss: Component
    weight: float
    representation: Component = Component("as_is")
    memory: Component | None = None
    stage_decay: float = 1.0
    exclusive_warmup: float = 0.0
    ramp: float = 0.0
    teacher: str = ""

    @property
    def layer_pair(self) -> tuple[str, str]:
        """(the student's place, the teacher's)."""
        return (self.layers, self.layers) if isinstance(self.layers, str) else self.layers


@dataclass(frozen=True)
class Method:
    """A named list of terms.

    Attributes:
        name: the row's name.
        terms: its summands, beside the task's loss.
        task: weight of the task's loss.
        summed_terms: the summands where the row is added to others, if they weigh otherwise there.
        unlabeled_terms: the summands where there are no labels, if they weigh otherwise there.
        reuse: a place: the student's features there are projected to the teacher's, and what it
            says is the teacher's classifier of them; it keeps both. Empty: its end is its own.
        about: one line: what it does, and when to use it.
        source: the paper.
        note: where the row is not as published.
        balance: how its losses are brought to one size: `none`, `unit`, `uncertainty`, `gradient`.
        shares: what each of several teachers weighs, by name; the sum is 1.
        teacher_dropout: the share of the times that one of them is not heard of an example, unless
            it is the one that the student follows least there.
    """

    name: str
    terms: tuple[Term, ...] = ()
    task: float = 1.0
    summed_terms: tuple[Term, ...] | None = None
    unlabeled_terms: tuple[Term, ...] | None = None
    reuse: str = ""
    about: str = ""
    source: str = ""
    note: str = ""
    balance: str = "none"
    shares: Mapping[str, float] = field(default_factory=dict)
    teacher_dropout: float = 0.0
