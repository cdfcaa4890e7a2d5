"""A row in words: its summands, and the formulas of its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from mentee.catalogue.docstrings import told
from mentee.losses import LOSSES
from mentee.memory import MEMORIES
from mentee.methods import Component, Method, Term
from mentee.representations import REPRESENTATIONS

Name: TypeAlias = Callable[[str], str]
"""How the name of a word or a place is written."""


def sentence(term: Term, name: Name = str) -> str:
    """One summand in words.

    Example:
        >>> sentence(Term(("logits", "embedding"), Component("kl"), 0.6, Component("probe")))
        '0.6 · kl of probe at logits (teacher: embedding)'
    """
    return f"{term.weight:g} · {compared(term, name)} at {where(term, name)}{when(term, name)}"


def compared(term: Term, name: Name = str) -> str:
    """What is compared, and how."""
    return f"{called(term.loss, name)} of {called(term.representation, name)}"


def where(term: Term, name: Name = str) -> str:
    """The places that it reads."""
    student, teacher = term.layer_pair
    return name(student) if student == teacher else f"{name(student)} (teacher: {name(teacher)})"


def when(term: Term, name: Name = str) -> str:
    """Its memory, and what it weighs at which stage and when."""
    more = f", negatives from {called(term.memory, name)}" if term.memory else ""
    more += f", each stage {term.stage_decay:g} of the next" if term.stage_decay != 1 else ""
    more += (
        f", alone for the first {term.exclusive_warmup:.0%} of the steps"
        if term.exclusive_warmup
        else ""
    )
    more += f", rising over the first {term.ramp:.1%} of the steps" if term.ramp else ""
    return more


def called(word: Component, name: Name = str) -> str:
    """A word with its numbers, and those that it is of."""
    parts = []
    for each in word.chain:
        numbers = ", ".join(f"{key}={value}" for key, value in each.params.items())
        parts.append(f"{name(each.name)}({numbers})" if numbers else name(each.name))
    return " of ".join(parts)


def together(terms: Sequence[Term], name: Name = str) -> list[str]:
    """The summands, those that differ only in the one number of their agreement as one."""
    alike: dict[str, list[Term]] = {}
    for term in terms:
        bare = sentence(replace(term, loss=Component(term.loss.name)), name)
        alike.setdefault(bare, []).append(term)
    found = []
    for each in alike.values():
        keys = {tuple(term.loss.params) for term in each}
        if len(each) > 1 and len(keys) == 1 and len(key := keys.pop()) == 1:
            values = ", ".join(str(term.loss.params[key[0]]) for term in each)
            agree = Component(each[0].loss.name, {key[0]: values})
            found.append(sentence(replace(each[0], loss=agree), name))
        else:
            found += [sentence(term, name) for term in each]
    return found


def by_places(terms: Sequence[Term], name: Name = str) -> list[str]:
    """The same, those too that differ only in place and weight as one."""
    alike: dict[str, list[Term]] = {}
    for term in terms:
        alike.setdefault(f"{compared(term, name)}{when(term, name)}", []).append(term)
    if len(alike) == len(terms):
        return together(terms, name)
    found = []
    for said, each in alike.items():
        at = ", ".join(f"{term.weight:g} at {where(term, name)}" for term in each)
        found.append(f"{said}: {at}" if len(each) > 1 else sentence(each[0], name))
    return found


def elsewhere(row: Method) -> list[str]:
    """What its losses weigh in a sum, and without labels, where that is not what they do alone.

    Example:
        >>> from mentee.methods import find
        >>> elsewhere(find("kd")), elsewhere(find("sp"))
        (["in a sum 1 and the task's at 1", 'without labels 1'], [])
    """
    parts = [] if row.summed_terms is None else [weights(row.summed_terms)]
    parts += [] if row.task == 1 or not row.terms else ["the task's at 1"]
    found = [f"in a sum {' and '.join(parts)}"] if parts else []
    if row.unlabeled_terms is not None and weights(row.unlabeled_terms) != weights(row.terms):
        found.append(f"without labels {weights(row.unlabeled_terms)}")
    return found


def weights(terms: Sequence[Term]) -> str:
    """Those of some summands, in their order."""
    return ", ".join(f"{term.weight:g}" for term in terms)


def formulas(row: Method) -> dict[str, str]:
    """What the words of a row stand for, each once: its formula, or what it is in a line."""
    functions: dict[str, Callable[..., object]] = {
        **{name: entry.function for name, entry in LOSSES.items()},
        **REPRESENTATIONS,
        **MEMORIES,
    }
    words = [
        word.name
        for term in row.terms
        for word in (term.loss, *term.representation.chain, *([term.memory] if term.memory else []))
    ]
    said = {name: told(functions[name]) for name in words if name in functions if name != "as_is"}
    return {name: each.formula or each.summary for name, each in said.items()}
