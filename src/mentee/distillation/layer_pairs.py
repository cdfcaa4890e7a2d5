"""Which place of the student meets which of the teacher, and whether the two can be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mentee.errors import PairError, suggest
from mentee.methods import Method, Term
from mentee.representations import CROSSING, Shape
from mentee.types import TOGETHER, together


def wanted(method: Method) -> tuple[list[str], list[str]]:
    """The places a method reads: (the student's, the teacher's), each once."""
    places = [term.layer_pair for term in method.terms if term.weight != 0]
    students, teachers = zip(*places, strict=True) if places else ((), ())
    return _each(students), _each(teachers)


def _each(places: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for place in places for name in together(place)))


def pair_layers(
    term: Term, student: Mapping[str, Shape], teacher: Mapping[str, Shape]
) -> list[tuple[str, str]]:
    """Which place of the student meets which of the teacher.

    Where one network has more stages, the other's meet evenly spaced ones, the last the last.
    Places that are read together, `stem&stages`, make one pair; so do all places of a term whose
    representation brings each of the student's together with each of the teacher's.

    Example:
        >>> from mentee.methods import Component
        >>> three, four = ({f"stages.{i}": (8, 4, 4) for i in range(n)} for n in (3, 4))
        >>> pair_layers(Term("stages", Component("contrast"), 0.1), three, four)
        [('stages.0', 'stages.0'), ('stages.1', 'stages.2'), ('stages.2', 'stages.3')]
    """
    ours, theirs = (together(place) for place in term.layer_pair)
    if term.representation.chain[-1].name in CROSSING:
        for place in theirs:
            check_recorded(place, teacher)
        mine = [each for place in ours for each in expand(place, student)]
        others = [each for place in theirs for each in expand(place, teacher)]
        return [(TOGETHER.join(mine), TOGETHER.join(others))]
    if len(ours) != len(theirs):
        raise PairError(
            f"the student is read at {' & '.join(ours)}, the teacher at {' & '.join(theirs)}; "
            "expected as many places"
        )
    pairs = [
        pair for each in zip(ours, theirs, strict=True) for pair in meet(*each, student, teacher)
    ]
    if len(ours) == 1:
        return pairs
    students, teachers = zip(*pairs, strict=True)
    return [(TOGETHER.join(students), TOGETHER.join(teachers))]


def meet(
    ours: str, theirs: str, student: Mapping[str, Shape], teacher: Mapping[str, Shape]
) -> list[tuple[str, str]]:
    """The pairs of places that two names stand for."""
    check_recorded(theirs, teacher)
    mine, others = expand(ours, student), expand(theirs, teacher)
    count = min(len(mine), len(others))
    return [(evenly(mine, i, count), evenly(others, i, count)) for i in range(count)]


def taught_by(
    method: Method, shares: Mapping[str, float], each: Mapping[str, Method] | None = None
) -> Method:
    """The same method read from several teachers: its terms once for each, by their shares.

    Args:
        method: the student's; the task's loss is its own.
        shares: what each teacher weighs, by name; a single empty name stands for one teacher.
        each: what a teacher teaches by, where that is another method.

    Raises:
        PairError: a method keeps the classifier of its teacher.

    Example:
        >>> from mentee.methods import find
        >>> row = taught_by(find("ec"), {"aisfx": 0.5, "pesto": 0.5})
        >>> [(t.layers, t.weight) for t in row.terms]
        [(('embedding', 'embedding.aisfx'), 0.3), (('embedding', 'embedding.pesto'), 0.3)]
    """
    if list(shares) == [""]:
        return method
    rows = {name: (each or {}).get(name, method) for name in shares}
    for name, row in rows.items():
        if row.reuse:
            raise PairError(
                f"method {row.name!r} keeps its teacher's classifier, and {name} is one of "
                f"{len(shares)} teachers; take to-teacher, or one teacher"
            )
    terms = [
        replace(
            term,
            layers=(ours, TOGETHER.join(f"{place}.{name}" for place in together(theirs))),
            weight=term.weight * shares[name],
            teacher=name,
        )
        for name, row in rows.items()
        for term in row.terms
        for ours, theirs in [term.layer_pair]
    ]
    return replace(method, terms=tuple(terms), shares=dict(shares))


def check_recorded(place: str, shapes: Mapping[str, Shape]) -> None:
    """Refuse a place that a record of embeddings does not have, and say what does without it."""
    wanted, point, name = place.partition(".")
    held = {each.partition(".")[0] for each in shapes}
    if not held or held - {"embedding", "frames"} or place in shapes:
        return
    other = "frames" if wanted == "embedding" else "embedding"
    if wanted in ("embedding", "frames") and f"{other}{point}{name}" not in shapes:
        return  # another name of a record, which is suggested
    if wanted == "embedding":
        raise PairError(
            "the method reads 'embedding', and the record was made with --frames; time frames "
            "need a term of your own, places: [stages.2, frames] (docs/embeddings.md, A vector "
            "for each time frame), or a record without --frames"
        )
    if wanted == "frames":
        raise PairError(
            "the method reads 'frames', and the record has one vector an example; record with "
            "--frames, or take a method that reads 'embedding', such as ec"
        )
    instead = "probe-kd in place of kd" if wanted == "logits" else "ec, east or to-teacher"
    raise PairError(
        f"the method reads {place!r} of the teacher, and a record of embeddings has no {wanted}, "
        f"only {', '.join(sorted(held))}; take {instead}, or a network as teacher"
    )


def expand(place: str, shapes: Mapping[str, Shape]) -> list[str]:
    """`stages` to `stages.0`, `stages.1`, …; any other place to itself."""
    if place in shapes:
        return [place]
    found = [name for name in shapes if re.fullmatch(rf"{re.escape(place)}\.\d+", name)]
    if not found:
        raise PairError(f"nothing is read at {place!r}; {suggest(place, shapes)}")
    return sorted(found, key=lambda name: int(name.rpartition(".")[2]))


def evenly(names: Sequence[str], number: int, count: int) -> str:
    """The `number`-th of `count` names that are evenly spaced, the last being the last."""
    return names[round((number + 1) * len(names) / count) - 1]


HEADS = {
    "compress": "set compress.student_head: linear",
    "pca": "set pca.student_head: linear",
    "random": "set random.student_head: linear",
    "pooled": "use to_teacher in place of pooled",
}
"""How the student's side of a representation gets a head."""
ANY_HEAD = "use a representation with a head, such as project"


def check_widths(name: str, represent: str, *widths: Shape) -> None:
    """Refuse a pair whose representations an agreement cannot compare entry by entry."""
    if widths[0] == widths[1]:
        return
    if name.partition(" ")[0].endswith("/logits"):
        raise PairError(
            f"{name}: the student has {widths[0][0]} classes, the teacher {widths[1][0]}; soft "
            "targets need the same classes in the same order. Use a method without kd (crd, cktf), "
            "a teacher of these classes, or learn its classes without labels (data.label: false)"
        )
    raise PairError(
        f"{name}: the student's representation has shape {widths[0]}, the teacher's {widths[1]}; "
        f"expected equal ones: {HEADS.get(represent, ANY_HEAD)}"
    )
