"""A method is a named list of terms; a term names its layers, its components and its weight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

Number: TypeAlias = int | float | bool | str | None
"""The value of a component's parameter."""


@dataclass(frozen=True)
class Component:
    """A representation, a loss or a memory by name, with its parameters.

    Attributes:
        name: of the component.
        params: those that differ from its defaults.
        of: the representation that this one reads, as in `project` of `attention`. None: it reads
            the features of the layer.

    Example:
        >>> str(Component("project", {"width": 64}, Component("attention")))
        'project(width=64) of attention'
    """

    name: str
    params: Mapping[str, Number] = field(default_factory=dict)
    of: Component | None = None

    @property
    def chain(self) -> tuple[Component, ...]:
        """The component and those that it reads, the one next to the layer last."""
        return (self,) if self.of is None else (self, *self.of.chain)

    def over(self, inner: Component) -> Component:
        """The same chain with `inner` next to the layer.

        Example:
            >>> str(Component("project").over(Component("attention")))
            'project of attention'
        """
        return replace(self, of=inner if self.of is None else self.of.over(inner))

    def __str__(self) -> str:
        params = ", ".join(f"{key}={value}" for key, value in self.params.items())
        text = f"{self.name}({params})" if params else self.name
        return text if self.of is None else f"{text} of {self.of}"


@dataclass(frozen=True)
class Term:
    """One summand of a method: weight · loss(representation(student), representation(teacher)).

    Attributes:
        layers: where both networks are read (`stages` stands for one term a stage, `stem&stages`
            for all of them together), or a pair (the student's layer, the teacher's).
        loss: how the two are compared.
        weight: of the loss.
        representation: what is compared.
        memory: the source of negatives, for a loss that needs them.
        stage_decay: of several stages, the weight of each in proportion to the next coarser one.
        exclusive_warmup: share of the steps in which this term alone is trained, without the task
            and other terms; afterwards it is off. 0: it is active all the time.
        ramp: share of the steps over which the weight rises in a line from 0, from the first step
            in which the term is active. 0: it is whole at once.
        teacher: the name of its teacher, where there are several. Empty: there is one.
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
        """(the student's layer, the teacher's)."""
        return (self.layers, self.layers) if isinstance(self.layers, str) else self.layers


@dataclass(frozen=True)
class Method:
    """A named list of terms.

    Attributes:
        name: of the method.
        terms: its summands, added to the task's loss.
        task: weight of the task's loss.
        summed_terms: the summands in a sum of methods, where their weights differ.
        unlabeled_terms: the summands where there are no labels, where their weights differ.
        reuse: a layer: the student's features there are projected to the teacher's, and the
            teacher's classifier gives its logits; the student keeps both. Empty: it has its own
            classifier.
        about: one line: what it does, and when to use it.
        source: its full name and the paper.
        note: where it differs from the publication.
        balance: how its losses are brought to one size: `none`, `unit`, `uncertainty`, `gradient`.
        shares: the weight of each of several teachers, by name; the sum is 1.
        teacher_dropout: the share of examples for which a teacher is not used, unless it is the
            one that the student follows least there.
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

    def as_json(self) -> dict[str, Any]:
        """What is trained under that name: weights and terms, as JSON has them."""
        what = {"task": self.task, "terms": self.terms, "balance": self.balance}
        content: dict[str, Any] = json.loads(json.dumps(what, default=asdict))
        return content
