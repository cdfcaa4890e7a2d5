"""The same row with other numbers, weights or kinds of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mentee.errors import MenteeError
from mentee.methods.row import Component, Method, Number, Term


def label_free(method: Method) -> Method:
    """The same row where there are no labels: the task's loss is off.

    Example:
        >>> from mentee.methods import find
        >>> row = label_free(find("cktf"))
        >>> row.task, [(term.layers, term.weight) for term in row.terms]
        (0.0, [('stem', 0.04), ('stages', 0.04), ('embedding', 1.0)])
    """
    return replace(method, terms=method.unlabeled_terms or method.terms, task=0.0)


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
            whichever memory a term has, and `memory.kind` exchanges it (`bank`, `sharded_bank`,
            `queue`, `batch`); so does `representation.kind` with a representation (`standardized`
            for any row of logits).
        weights: `{"task": 0.5, "stages": 0.2, "contrast": 0.4}`: by place or by agreement;
            a place wins.

    Returns:
        A new row of the same name.

    Raises:
        MenteeError: a key meets no term of this method.

    Example:
        >>> from mentee.methods import find
        >>> row = adjust(find("cktf"), {"memory.negatives": 4096}, {"stem": 0.0})
        >>> row.terms[0].weight, row.terms[1].memory.params["negatives"]
        (0.0, 4096)
    """
    met: set[str] = {"task"}
    terms = tuple(_adjust(term, numbers, weights, met) for term in method.terms)
    problems = []
    if unmet := [key for key in numbers if key not in met]:
        known = sorted({word for term in method.terms for word in _names(term)})
        problems.append(
            f"has nothing that {', '.join(map(repr, unmet))} could change; its places and words "
            f"are {', '.join(known) or 'none'}"
        )
    if unmet := [key for key in weights if key not in met]:
        known = sorted(
            {word for term in method.terms for word in (term.layer_pair[0], term.loss.name)}
        )
        problems.append(
            f"has no weight {', '.join(map(repr, unmet))}; weights go by place or by agreement: "
            f"{', '.join([*known, 'task'])}"
        )
    if problems:
        raise MenteeError(f"method {method.name!r} {'. It '.join(problems)}")
    return replace(method, terms=terms, task=weights.get("task", method.task))


def leveled(method: Method) -> Method:
    """The same row with each weight at 1: what a balanced method weighs where nothing else is said.

    Example:
        >>> from mentee.methods import find
        >>> row = leveled(find("kd"))
        >>> row.task, [term.weight for term in row.terms]
        (1.0, [1.0])
    """
    terms = tuple(replace(term, weight=1.0 if term.weight else 0.0) for term in method.terms)
    return replace(method, terms=terms, task=1.0 if method.task else 0.0)


def _names(term: Term) -> set[str]:
    words = {term.layer_pair[0], term.loss.name, *(word.name for word in term.representation.chain)}
    return words | {"memory"} if term.memory else words


def _adjust(
    term: Term, numbers: Mapping[str, Number], weights: Mapping[str, float], met: set[str]
) -> Term:
    place, kind = term.layer_pair[0], term.memory.name if term.memory else None
    represents = [word.name for word in term.representation.chain]
    slots = {"representation": represents[0]} | {name: name for name in represents}
    slots[term.loss.name] = "loss"
    if term.memory:
        slots["memory"] = "memory"
    changes: dict[str, dict[str, Number]] = {slot: {} for slot in slots.values()}
    # The shorter keys first, so that one that names a place has the last word.
    for key, value in sorted(numbers.items(), key=lambda item: item[0].count(".")):
        head, _, number = key.rpartition(".")
        word = head.removeprefix(f"{place}.")
        if word in slots:
            changes[slots[word]][number] = value
            met.add(key)
    if term.memory and "kind" in changes["memory"]:
        kind = str(changes["memory"].pop("kind"))
    for key in (term.loss.name, place):
        met.update({key} & weights.keys())
    weight = weights.get(place, weights.get(term.loss.name, term.weight))
    memory = None if term.memory is None or kind is None else _other_memory(term.memory, kind)
    return replace(
        term,
        weight=weight,
        representation=_chain_with(term.representation, changes),
        loss=_with(term.loss, changes["loss"]),
        memory=memory and _with(memory, changes["memory"]),
    )


def _chain_with(word: Component, changes: Mapping[str, dict[str, Number]]) -> Component:
    """A representation with other numbers, or of another kind with those that are given."""
    own = dict(changes[word.name])
    kind = str(own.pop("kind", word.name))
    numbers = own if kind != word.name else {**word.params, **own}
    return Component(kind, numbers, None if word.of is None else _chain_with(word.of, changes))


def _with(word: Component, changes: Mapping[str, Number]) -> Component:
    return replace(word, params={**word.params, **changes}) if changes else word


def _other_memory(memory: Component, kind: str) -> Component:
    """The same memory, or another kind with the numbers that every kind has."""
    if kind == memory.name:
        return memory
    return Component(kind, {k: v for k, v in memory.params.items() if k == "class_aware"})
