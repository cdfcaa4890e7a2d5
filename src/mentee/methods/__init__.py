"""The table of methods: each is a list of terms *layers × representation × loss × weight*.

    L = task · L_task + Σ_k  w_k · loss_k(representation_S,k(S_k), representation_T,k(T_k))

Names, parameters and papers only; the components are looked up where a method is bound to a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mentee.errors import MenteeError, suggest
from mentee.methods.change import adjust, label_free, leveled
from mentee.methods.derived import FORMS
from mentee.methods.method import Component, Method, Number, Term
from mentee.methods.table import METHODS
from mentee.renamed import METHODS as RENAMED
from mentee.renamed import renamed

__all__ = [
    "FORMS",
    "METHODS",
    "Component",
    "Method",
    "Number",
    "Term",
    "adjust",
    "find",
    "label_free",
    "leveled",
    "summands",
]


def find(name: str, methods: Mapping[str, Method] = METHODS) -> Method:
    """A method of the table, a form of one, or a sum of these.

    Args:
        name: `cktf`; `crd+kd`; `cktf(fitnet)`, the representation of a method under CKTF's
            contrast; `standardized(kd)`, a method of z-scores; or a sum of any of them.
        methods: the table; add methods of your own by `METHODS | {method.name: method}`.

    Returns:
        The method; of a sum, all summands with the task's loss at weight 1, each term once.

    Raises:
        MenteeError: there is no such method (close names are listed), or no such form of it.

    Example:
        >>> [term.weight for term in find("crd+kd").terms]
        [10.0, 1.0]
        >>> str(find("cktf(at)").terms[0].representation)
        'unit of attention'
    """
    parts = summands(name)
    if known := methods.get(name) or _same_sum(parts, methods):
        return known
    if len(parts) == 1:
        return _formed(name, methods)
    if len(set(parts)) < len(parts):
        raise MenteeError(f"{name!r} names a method twice; give the method another weight instead")
    each = [find(part, methods) for part in parts]
    reused = list(dict.fromkeys(method.reuse for method in each if method.reuse))
    if len(reused) > 1:
        raise MenteeError(
            f"method {name!r} would reuse the teacher's classifier twice, after "
            f"{' and '.join(reused)}; take one of them"
        )
    terms = [t for m in each for t in (m.terms if m.summed_terms is None else m.summed_terms)]
    return Method(
        name,
        added_up(terms),
        unlabeled_terms=added_up([term for method in each for term in label_free(method).terms]),
        reuse="".join(reused),
        about=" + ".join(method.name for method in each),
        source="; ".join(dict.fromkeys(method.source for method in each if method.source)),
    )


def summands(name: str) -> list[str]:
    """The parts of a sum; a plus within brackets belongs to the form.

    Example:
        >>> summands("cktf(kd+at) + crd")
        ['cktf(kd+at)', 'crd']
    """
    parts, depth = [""], 0
    for letter in name:
        depth += (letter == "(") - (letter == ")")
        if letter == "+" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def added_up(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The terms, with those that differ in their weight alone added up to one."""
    weights: dict[int, float] = {}
    alike = [replace(term, weight=0.0) for term in terms]
    for term, bare in zip(terms, alike, strict=True):
        first = alike.index(bare)
        weights[first] = weights.get(first, 0.0) + term.weight
    return tuple(replace(terms[first], weight=weight) for first, weight in weights.items())


def _same_sum(parts: Sequence[str], methods: Mapping[str, Method]) -> Method | None:
    """A method of the table that is the sum of these, in whatever order."""
    same = (m for name, m in methods.items() if sorted(summands(name)) == sorted(parts))
    return next(same, None) if len(parts) > 1 else None


def _formed(name: str, methods: Mapping[str, Method]) -> Method:
    """A form of a method, or of a sum: `cktf(at)`, `standardized(kd+dist)`."""
    form, bracket, rest = name.partition("(")
    if bracket and form in FORMS and rest.endswith(")"):
        return FORMS[form](find(rest[:-1].strip(), methods))
    if bracket and form in RENAMED:
        raise MenteeError(renamed(f"the form {form}", RENAMED[form]))
    if bracket:
        raise MenteeError(
            f"there is no method {name!r}; expected a form of a method, {' or '.join(FORMS)}, such "
            "as cktf(fitnet)"
        )
    raise MenteeError(f"there is no method {name!r}; {suggest(name, methods)}")
