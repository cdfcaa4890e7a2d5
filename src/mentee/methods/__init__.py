"""The table: every method is a row *places × representation × agreement × weight*.

    L = task · L_task + Σ_k  w_k · agree_k(represent_S,k(S_k), represent_T,k(T_k))

Names, numbers and papers only; what the words do is looked up where a row is bound to a pair.
"""

from __future__ import annotations

from collections.abc import Mapping

from mentee.errors import MenteeError, suggest
from mentee.methods.change import adjust
from mentee.methods.row import Method, Number, Term, Word
from mentee.methods.table import METHODS

__all__ = ["METHODS", "Method", "Number", "Term", "Word", "adjust", "find"]


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
