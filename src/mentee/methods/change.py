"""The same method with other parameters, weights or kinds of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mentee.errors import MenteeError
from mentee.methods.method import Component, Method, Number, Term
from mentee.renamed import COMPONENTS, renamed


def label_free(method: Method) -> Method:
    """The method without labels: the task's loss is off.

    Example:
        >>> from mentee.methods import find
        >>> method = label_free(find("cktf"))
        >>> method.task, [(term.layers, term.weight) for term in method.terms]
        (0.0, [('stages', 0.1), ('embedding', 0.3)])
    """
    return replace(method, terms=method.unlabeled_terms or method.terms, task=0.0)


def adjust(
    method: Method,
    params: Mapping[str, Number],
    weights: Mapping[str, float],
) -> Method:
    """The method with other parameters and weights.

    Args:
        method: of the table, or your own.
        params: `{"contrast.temperature": 0.07}` for every term that has the component, or
            `{"stages.project.grid": 1}` for the term at one layer; `memory.` stands for
            whichever memory a term has, and `memory.kind` exchanges it (`bank`, `sharded_bank`,
            `queue`, `batch`); so does `representation.kind` with a representation (`standardized`
            for any method of logits).
        weights: `{"task": 0.5, "stages": 0.2, "contrast": 0.4}`: by layer or by loss; a layer
            wins.

    Returns:
        A new method of the same name.

    Raises:
        MenteeError: a key matches no term of this method.

    Example:
        >>> from mentee.methods import find
        >>> method = adjust(find("cktf-bank"), {"memory.negatives": 4096}, {"stem": 0.0})
        >>> method.terms[0].weight, method.terms[1].memory.params["negatives"]
        (0.0, 4096)
    """
    matched: set[str] = {"task"}
    terms = tuple(_adjust(term, params, weights, matched) for term in method.terms)
    problems = []
    unmatched = [key for key in params if key not in matched]
    if old := [key for key in unmatched if _new_key(key) != key]:
        raise MenteeError("; ".join(renamed(key, _new_key(key)) for key in old))
    if unmatched:
        known = sorted({name for term in method.terms for name in _names(term)})
        problems.append(
            f"has nothing that {', '.join(map(repr, unmatched))} could change; its layers and "
            f"components are {', '.join(known) or 'none'}"
        )
    if unmatched := [key for key in weights if key not in matched]:
        known = sorted({n for term in method.terms for n in (term.layer_pair[0], term.loss.name)})
        problems.append(
            f"has no weight {', '.join(map(repr, unmatched))}; weights go by layer or by loss: "
            f"{', '.join([*known, 'task'])}"
        )
    if problems:
        raise MenteeError(f"method {method.name!r} {'. It '.join(problems)}")
    return replace(method, terms=terms, task=weights.get("task", method.task))


def leveled(method: Method) -> Method:
    """The method with each weight at 1: the weights of a balanced method, unless others are set.

    Example:
        >>> from mentee.methods import find
        >>> method = leveled(find("kd"))
        >>> method.task, [term.weight for term in method.terms]
        (1.0, [1.0])
    """
    terms = tuple(replace(term, weight=1.0 if term.weight else 0.0) for term in method.terms)
    return replace(method, terms=terms, task=1.0 if method.task else 0.0)


def _new_key(key: str) -> str:
    """The key with the names that components of version 0.1 have today."""
    *names, param = key.split(".")
    return ".".join([*(COMPONENTS.get(name, name) for name in names), param])


def _names(term: Term) -> set[str]:
    names = {term.layer_pair[0], term.loss.name, *(c.name for c in term.representation.chain)}
    return names | {"memory"} if term.memory else names


def _adjust(
    term: Term, params: Mapping[str, Number], weights: Mapping[str, float], matched: set[str]
) -> Term:
    layer, kind = term.layer_pair[0], term.memory.name if term.memory else None
    chain = [component.name for component in term.representation.chain]
    slots = {"representation": chain[0]} | {name: name for name in chain}
    slots[term.loss.name] = "loss"
    if term.memory:
        slots["memory"] = "memory"
    changes: dict[str, dict[str, Number]] = {slot: {} for slot in slots.values()}
    # The shorter keys first, so that one that names a layer wins.
    for key, value in sorted(params.items(), key=lambda item: item[0].count(".")):
        head, _, param = key.rpartition(".")
        component = head.removeprefix(f"{layer}.")
        if component in slots:
            changes[slots[component]][param] = value
            matched.add(key)
    if term.memory and "kind" in changes["memory"]:
        kind = str(changes["memory"].pop("kind"))
    for key in (term.loss.name, layer):
        matched.update({key} & weights.keys())
    weight = weights.get(layer, weights.get(term.loss.name, term.weight))
    memory = None if term.memory is None or kind is None else _other_memory(term.memory, kind)
    return replace(
        term,
        weight=weight,
        representation=_chain_with(term.representation, changes),
        loss=_with(term.loss, changes["loss"]),
        memory=memory and _with(memory, changes["memory"]),
    )


def _chain_with(component: Component, changes: Mapping[str, dict[str, Number]]) -> Component:
    """A representation with other parameters, or of another kind with those that are set."""
    own = dict(changes[component.name])
    kind = str(own.pop("kind", component.name))
    params = own if kind != component.name else {**component.params, **own}
    of = None if component.of is None else _chain_with(component.of, changes)
    return Component(kind, params, of)


def _with(component: Component, changes: Mapping[str, Number]) -> Component:
    return replace(component, params={**component.params, **changes}) if changes else component


def _other_memory(memory: Component, kind: str) -> Component:
    """The same memory, or another kind with the parameters that every kind has."""
    if kind == memory.name:
        return memory
    return Component(kind, {k: v for k, v in memory.params.items() if k == "class_aware"})
