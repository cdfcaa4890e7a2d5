"""What there is, in words: the methods of the table, the places of a network."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mentee import models
from mentee.capture import Place, list_places
from mentee.methods import METHODS, Method, Term, find


def list_methods(rows: Mapping[str, Method] = METHODS) -> str:
    """One line for each row: name, places, what it does."""
    width = max(map(len, rows))
    lines = [f"{row.name:<{width}}  {row.about}" for row in rows.values()]
    sums = "Rows can be added up: crd+kd. Show one with its sentence: mentee methods cktf"
    return "\n".join([*lines, "", sums])


def show_method(name: str, rows: Mapping[str, Method] = METHODS) -> str:
    """A row as its sentence: places × representation × agreement × weight.

    Example:
        >>> print(show_method("kd"))
        kd: Softened logits: cheap, needs a teacher of the same classes.
        Hinton et al. 2015, arXiv:1503.02531
        L =  0.1 · task
           + 0.9 · kl(temperature=4.0) of as_is at logits
    """
    row = find(name, rows)
    lines = [f"{row.name}: {row.about}", *([row.source] if row.source else [])]
    lines.append(f"L =  {row.task:g} · task")
    lines += [f"   + {sentence(term)}" for term in row.terms]
    if row.reuse:
        end = "a projector, and the teacher's classifier"
        lines.append(f"The student is its trunk, read at {row.reuse}, {end}.")
    return "\n".join(lines)


def sentence(term: Term) -> str:
    """One summand in words."""
    student, teacher = term.place
    place = student if student == teacher else f"{student} (teacher: {teacher})"
    more = f", negatives from {term.memory}" if term.memory else ""
    more += f", each stage {term.fade:g} of the next" if term.fade != 1 else ""
    more += f", alone for the first {term.first:.0%} of the steps" if term.first else ""
    return f"{term.weight:g} · {term.agree} of {term.represent} at {place}{more}"


def show_places(
    network: str, *, size: int = 32, channels: int = 3, classes: int = 10, every: bool = False
) -> str:
    """Where a network can be read, a line each: name, shape, module.

    Args:
        network: a name for `mentee.models.build`.
        size: height and width of the image.
        channels: of the image.
        classes: outputs of the classifier.
        every: all modules; else the short names alone.

    Returns:
        A table of plain text.
    """
    built = models.build(network, classes=classes, channels=channels, seed=0)
    found = list_places(built, torch.zeros(2, channels, size, size))
    shown = [place for place in found if every or place.name != place.path]
    rows = [(place.name, " × ".join(map(str, place.shape)), read_at(place)) for place in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows]
    count = models.count_parameters(built)
    return "\n".join([f"{network}: {count:,} parameters, {channels} × {size} × {size}", *lines])


def read_at(place: Place) -> str:
    """Where in the network a place is."""
    if place.is_result:
        return "what the network returns"
    return f"{place.side} of {place.path}"
