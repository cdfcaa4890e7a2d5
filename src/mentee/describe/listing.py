"""The methods of the table as plain text: all of them, and one."""

from __future__ import annotations

from collections.abc import Mapping

from mentee.describe.needs import needs
from mentee.describe.sentence import formulas, in_a_sum, together
from mentee.methods import METHODS, Method, find

MORE = (
    "Rows can be added up: crd+kd. One row with its sentence and formulas: mentee methods cktf.\n"
    "What fits two networks: mentee methods --student resnet8-cifar --teacher resnet20-cifar"
)


def list_methods(rows: Mapping[str, Method] = METHODS) -> str:
    """One line for each row, name and what it does, below what they need.

    Args:
        rows: the table, with rows of your own.
    """
    width = max(map(len, rows))
    groups: dict[str, list[str]] = {}
    for row in rows.values():
        line = f"  {row.name:<{width}}  {row.about}".rstrip()
        groups.setdefault(", ".join(needs(row)), []).append(line)
    blocks = ["\n".join([f"{asked}:", *lines]) for asked, lines in groups.items()]
    return "\n\n".join([*blocks, MORE])


def show_method(name: str, rows: Mapping[str, Method] = METHODS) -> str:
    """A row as its sentence: places × representation × agreement × weight, and what it needs.

    Args:
        name: of a row, a form of one, or a sum of these.
        rows: the table, with rows of your own.

    Raises:
        MenteeError: there is no such row.

    Example:
        >>> print(show_method("l1", {"l1": Method("l1", about="Nothing.")}))
        l1: Nothing.
        L =  1 · task
        needs: no teacher
    """
    row = find(name, rows)
    lines = [f"{row.name}: {row.about}", *([row.source] if row.source else [])]
    lines.append(f"L =  {row.task:g} · task")
    lines += [f"   + {each}" for each in together(row.terms)]
    if said := in_a_sum(row):
        lines.append(f"     ({said})")
    words = formulas(row)
    width = max(map(len, words), default=0)
    lines += [f"{word:<{width}}  {formula}" for word, formula in words.items()]
    lines.append(f"needs: {', '.join(needs(row))}")
    return "\n".join([*lines, *([f"note: {row.note}"] if row.note else [])])
