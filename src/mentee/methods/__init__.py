"""The table: every method is a row *places × representation × agreement × weight*.

    L = task · L_task + Σ_k  w_k · agree_k(represent_S,k(S_k), represent_T,k(T_k))

Names, numbers and papers only; what the words do is looked up where a row is bound to a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mentee.errors import MenteeError, suggest
from mentee.methods.change import adjust, label_free, leveled
from mentee.methods.derived import FORMS
from mentee.methods.row import Component, Method, Number, Term
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


def find(name: str, rows: Mapping[str, Method] = METHODS) -> Method:
    """A row of the table, a form of one, or a sum of these.

    Args:
        name: `cktf`; `crd+kd`; `cktf(fitnet)`, what a row compares under CKTF's contrast;
            `standardized(kd)`, a row of z-scores; or a sum of any of them.
        rows: the table to look in; add rows of your own by `METHODS | {row.name: row}`.

    Returns:
        The row; of a sum, all summands with the task's loss at weight 1, each term once.

    Raises:
        MenteeError: there is no such row, or the form makes no sense of it; close names are said.

    Example:
        >>> [term.weight for term in find("crd+kd").terms]
        [0.8, 1.0]
        >>> str(find("cktf(at)").terms[0].representation)
        'project(width=128, batch_axis=False) of attention'
    """
    parts = summands(name)
    if known := rows.get(name) or _same_sum(parts, rows):
        return known
    if len(parts) == 1:
        return _formed(name, rows)
    if len(set(parts)) < len(parts):
        raise MenteeError(f"method {name!r} names a row twice; give the row another weight instead")
    found = [find(part, rows) for part in parts]
    ends = list(dict.fromkeys(row.reuse for row in found if row.reuse))
    if len(ends) > 1:
        raise MenteeError(
            f"method {name!r} would end in the teacher's classifier in two ways, behind "
            f"{' and '.join(ends)}; take one of them"
        )
    terms = [
        t for row in found for t in (row.terms if row.summed_terms is None else row.summed_terms)
    ]
    return Method(
        name,
        added_up(terms),
        unlabeled_terms=added_up([term for row in found for term in label_free(row).terms]),
        reuse="".join(ends),
        about=" + ".join(row.name for row in found),
        source="; ".join(dict.fromkeys(row.source for row in found if row.source)),
    )


def summands(name: str) -> list[str]:
    """The parts of a sum; a plus within brackets is of the form.

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
    """The same terms, those that differ in their weight alone as one of both weights."""
    weights: dict[int, float] = {}
    alike = [replace(term, weight=0.0) for term in terms]
    for term, bare in zip(terms, alike, strict=True):
        first = alike.index(bare)
        weights[first] = weights.get(first, 0.0) + term.weight
    return tuple(replace(terms[first], weight=weight) for first, weight in weights.items())


def _same_sum(parts: Sequence[str], rows: Mapping[str, Method]) -> Method | None:
    """A row of the table that is the sum of these, in whatever order."""
    same = (row for name, row in rows.items() if sorted(summands(name)) == sorted(parts))
    return next(same, None) if len(parts) > 1 else None


def _formed(name: str, rows: Mapping[str, Method]) -> Method:
    """A form of a row, or of a sum: `cktf(at)`, `standardized(kd+dist)`."""
    form, bracket, rest = name.partition("(")
    if bracket and form in FORMS and rest.endswith(")"):
        return FORMS[form](find(rest[:-1].strip(), rows))
    if bracket and form in RENAMED:
        raise MenteeError(renamed(f"the form {form}", RENAMED[form]))
    if bracket:
        raise MenteeError(
            f"there is no method {name!r}; expected a form of a row, {' or '.join(FORMS)}, such as "
            "cktf(fitnet)"
        )
    raise MenteeError(f"there is no method {name!r}; {suggest(name, rows)}")
