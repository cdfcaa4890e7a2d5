"""A method in words: its terms, and the formulas of their components."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from mentee.catalogue.docstrings import parse_docstring
from mentee.losses import LOSSES
from mentee.memory import MEMORIES
from mentee.methods import Component, Method, Term
from mentee.representations import REPRESENTATIONS

Style: TypeAlias = Callable[[str], str]
"""How the name of a component or a layer is written."""


def describe_term(term: Term, style: Style = str) -> str:
    """One term in words.

    Example:
        >>> describe_term(Term(("logits", "embedding"), Component("kl"), 0.6, Component("probe")))
        '0.6 · kl of probe at logits (teacher: embedding)'
    """
    return (
        f"{term.weight:g} · {compared(term, style)} at {layers(term, style)}{details(term, style)}"
    )


def compared(term: Term, style: Style = str) -> str:
    """Loss and representation of a term."""
    return f"{describe(term.loss, style)} of {describe(term.representation, style)}"


def layers(term: Term, style: Style = str) -> str:
    """The layers that a term reads."""
    student, teacher = map(style, term.layer_pair)
    return student if student == teacher else f"{student} (teacher: {teacher})"


def details(term: Term, style: Style = str) -> str:
    """Memory of a term, and how its weight depends on stage and step."""
    parts = [f", negatives from {describe(term.memory, style)}" if term.memory else ""]
    if term.stage_decay != 1:
        parts.append(f", each stage weighted {term.stage_decay:g} of the next")
    if term.exclusive_warmup:
        parts.append(f", trained alone for the first {term.exclusive_warmup:.0%} of the steps")
    if term.ramp:
        parts.append(f", weight ramped up over the first {term.ramp:.1%} of the steps")
    return "".join(parts)


def describe(component: Component, style: Style = str) -> str:
    """A component with its params, and the components that it is composed with."""
    parts = []
    for each in component.chain:
        params = ", ".join(f"{key}={value}" for key, value in each.params.items())
        parts.append(f"{style(each.name)}({params})" if params else style(each.name))
    return " of ".join(parts)


def describe_terms(terms: Sequence[Term], style: Style = str) -> list[str]:
    """The terms in words; terms that differ only in one param of their loss as one."""
    groups: dict[str, list[Term]] = {}
    for term in terms:
        without_params = describe_term(replace(term, loss=Component(term.loss.name)), style)
        groups.setdefault(without_params, []).append(term)
    result = []
    for each in groups.values():
        keys = {tuple(term.loss.params) for term in each}
        if len(each) > 1 and len(keys) == 1 and len(key := keys.pop()) == 1:
            values = ", ".join(str(term.loss.params[key[0]]) for term in each)
            loss = Component(each[0].loss.name, {key[0]: values})
            result.append(describe_term(replace(each[0], loss=loss), style))
        else:
            result += [describe_term(term, style) for term in each]
    return result


def describe_by_layers(terms: Sequence[Term], style: Style = str) -> list[str]:
    """The same; terms that differ only in layers and weight as one."""
    groups: dict[str, list[Term]] = {}
    for term in terms:
        groups.setdefault(f"{compared(term, style)}{details(term, style)}", []).append(term)
    if len(groups) == len(terms):
        return describe_terms(terms, style)
    result = []
    for text, each in groups.items():
        at = ", ".join(f"{term.weight:g} at {layers(term, style)}" for term in each)
        result.append(f"{text}: {at}" if len(each) > 1 else describe_term(each[0], style))
    return result


def other_weights(method: Method) -> list[str]:
    """The weights of a method in a sum and without labels, where these differ.

    Example:
        >>> from mentee.methods import find
        >>> other_weights(find("kd")), other_weights(find("sp"))
        (["in a sum 1 and the task's at 1", 'without labels 1'], [])
    """
    parts = [] if method.summed_terms is None else [weights(method.summed_terms)]
    parts += [] if method.task == 1 or not method.terms else ["the task's at 1"]
    result = [f"in a sum {' and '.join(parts)}"] if parts else []
    unlabeled = method.unlabeled_terms
    if unlabeled is not None and weights(unlabeled) != weights(method.terms):
        result.append(f"without labels {weights(unlabeled)}")
    return result


def weights(terms: Sequence[Term]) -> str:
    """The weights of terms, in their order."""
    return ", ".join(f"{term.weight:g}" for term in terms)


def formulas(method: Method) -> dict[str, str]:
    """The formula of each component of a method, or its description in a line."""
    functions: dict[str, Callable[..., object]] = {
        **{name: entry.function for name, entry in LOSSES.items()},
        **REPRESENTATIONS,
        **MEMORIES,
    }
    names = [
        component.name
        for term in method.terms
        for component in (term.loss, *term.representation.chain, term.memory)
        if component is not None and component.name in functions and component.name != "as_is"
    ]
    parsed = {name: parse_docstring(functions[name]) for name in names}
    return {name: each.formula or each.summary for name, each in parsed.items()}
