"""The methods of the table as plain text: all of them, one, and those that fit two networks."""

from __future__ import annotations

from collections.abc import Mapping

from mentee import models
from mentee.catalogue.equation import elsewhere, formulas, together
from mentee.catalogue.needs import needs
from mentee.catalogue.pairs import Applied, CandidatePair
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
    if said := elsewhere(row):
        lines.append(f"     ({'; '.join(said)})")
    if row.reuse:
        end = "a projector, and the teacher's classifier"
        lines.append(f"The student is its trunk, read at {row.reuse}, {end}.")
    words = formulas(row)
    width = max(map(len, words), default=0)
    lines += [f"{word:<{width}}  {formula}" for word, formula in words.items()]
    lines.append(f"needs: {', '.join(needs(row))}")
    return "\n".join([*lines, *([f"note: {row.note}"] if row.note else [])])


def show_pair(
    pair: CandidatePair, rows: Mapping[str, Method] = METHODS, *, time: bool = False
) -> str:
    """Which rows apply to a pair and what they cost; which do not, and why.

    Args:
        pair: the two networks.
        rows: by name.
        time: measure how much longer a step takes.
    """
    found = [pair.apply(row, time=time) for row in rows.values()]
    head = ["applies", "heads", "memory", "record", *(["a step"] if time else [])]
    lines = [head, *(cost(each) for each in found if each.problem is None)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join([f"{line[0]:<{widths[0]}}", *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    width = max((len(each.name) for each in found if each.problem), default=0)
    not_ = [f"{each.name:<{width}}  {each.problem}" for each in found if each.problem]
    return "\n".join([pair_said(pair), "", *text, *(["", "does not apply", *not_] if not_ else [])])


def pair_said(pair: CandidatePair) -> str:
    """The two networks, and what the columns mean."""
    student, teacher = pair.names
    sizes = [models.count_parameters(each) for each in (pair.student, pair.teacher)]
    image = " × ".join(map(str, pair.image))
    return (
        f"{student} ({sizes[0]:,} parameters) taught by {teacher} ({sizes[1]:,}): "
        f"{image}, {pair.classes} classes, {pair.examples:,} examples\n"
        "heads: parameters trained and dropped (kept: that the student has more); memory: of the "
        "banks; record: of an example and view, in float16"
    )


def cost(found: Applied) -> list[str]:
    """The cells of a row that applies."""
    record = "live only" if found.record is None else size(found.record)
    heads = f"{found.heads:,}" + (f" ({found.kept:+,} kept)" if found.kept else "")
    cells = [found.name, heads, size(found.memory), record]
    return cells if found.slower is None else [*cells, f"{found.slower:+.0%}"]


def size(count: int) -> str:
    """Bytes as a person says them.

    Example:
        >>> size(0), size(40), size(51_200), size(256_000_000)
        ('0', '40 B', '51.2 kB', '256.0 MB')
    """
    for unit, bytes in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes:
            return f"{count / bytes:.1f} {unit}"
    return f"{count} B" if count else "0"
