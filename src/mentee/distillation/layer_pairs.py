"""Which layer of the student is compared with which of the teacher, and whether they can be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mentee.errors import PairError, suggest
from mentee.methods import Method, Term
from mentee.representations import CROSSING, Shape
from mentee.types import FeatureKey, LayerPair


def required_layers(method: Method) -> tuple[list[str], list[str]]:
    """The layers that a method reads, each once: (the student's, the teacher's)."""
    pairs = [LayerPair.parse(*term.layer_pair) for term in method.terms if term.weight != 0]
    student = dict.fromkeys(layer for pair in pairs for layer in pair.student.layers)
    teacher = dict.fromkeys(layer for pair in pairs for layer in pair.teacher.layers)
    return list(student), list(teacher)


def pair_layers(
    term: Term, student: Mapping[str, Shape], teacher: Mapping[str, Shape]
) -> list[LayerPair]:
    """The pairs of layers that a term compares.

    Where one network has more stages, the other's are paired with evenly spaced ones, the last with
    the last. Layers that are read together, `stem&stages`, make one pair; so do all layers of a
    term whose representation compares each of the student's with each of the teacher's.

    Example:
        >>> from mentee.methods import Component
        >>> three, four = ({f"stages.{i}": (8, 4, 4) for i in range(n)} for n in (3, 4))
        >>> pairs = pair_layers(Term("stages", Component("contrast"), 0.1), three, four)
        >>> [str(pair) for pair in pairs]
        ['stages.0', 'stages.1~stages.2', 'stages.2~stages.3']
    """
    pair = LayerPair.parse(*term.layer_pair)
    of_student, of_teacher = pair.student.layers, pair.teacher.layers
    if term.representation.chain[-1].name in CROSSING:
        for layer in of_teacher:
            check_recorded(layer, teacher)
        every_student = [each for layer in of_student for each in expand(layer, student)]
        every_teacher = [each for layer in of_teacher for each in expand(layer, teacher)]
        return [LayerPair(FeatureKey(tuple(every_student)), FeatureKey(tuple(every_teacher)))]
    if len(of_student) != len(of_teacher):
        raise PairError(
            f"the student is read at {' & '.join(of_student)}, the teacher at "
            f"{' & '.join(of_teacher)}; expected as many layers"
        )
    pairs = [
        each
        for layers in zip(of_student, of_teacher, strict=True)
        for each in _spaced_pairs(*layers, student, teacher)
    ]
    if len(of_student) == 1:
        return [LayerPair(FeatureKey((s,)), FeatureKey((t,))) for s, t in pairs]
    students, teachers = zip(*pairs, strict=True)
    return [LayerPair(FeatureKey(students), FeatureKey(teachers))]


def _spaced_pairs(
    of_student: str, of_teacher: str, student: Mapping[str, Shape], teacher: Mapping[str, Shape]
) -> list[tuple[str, str]]:
    """The pairs of layers that two names stand for, evenly spaced in the deeper network."""
    check_recorded(of_teacher, teacher)
    students, teachers = expand(of_student, student), expand(of_teacher, teacher)
    count = min(len(students), len(teachers))
    return [(evenly(students, i, count), evenly(teachers, i, count)) for i in range(count)]


def with_teachers(
    method: Method, shares: Mapping[str, float], methods: Mapping[str, Method] | None = None
) -> Method:
    """The same method with several teachers: its terms once for each, weighted by their shares.

    Args:
        method: the student's; the task's loss is its own.
        shares: the weight of each teacher, by name; a single empty name stands for one teacher.
        methods: of the teachers that have one of their own.

    Raises:
        PairError: a method keeps the classifier of its teacher.

    Example:
        >>> from mentee.methods import find
        >>> method = with_teachers(find("east"), {"aisfx": 0.5, "pesto": 0.5})
        >>> [(t.layers, t.weight) for t in method.terms]
        [(('embedding', 'embedding.aisfx'), 0.3), (('embedding', 'embedding.pesto'), 0.3)]
    """
    if list(shares) == [""]:
        return method
    by_teacher = {name: (methods or {}).get(name, method) for name in shares}
    for name, of_teacher in by_teacher.items():
        if of_teacher.reuse:
            raise PairError(
                f"method {of_teacher.name!r} keeps its teacher's classifier, and {name} is one of "
                f"{len(shares)} teachers; take to-teacher, or one teacher"
            )
    terms = [
        replace(term, layers=layers, weight=term.weight * shares[name], teacher=name)
        for name, of_teacher in by_teacher.items()
        for term in of_teacher.terms
        for layers in [(term.layer_pair[0], _named(term.layer_pair[1], name))]
    ]
    return replace(method, terms=tuple(terms), shares=dict(shares))


def _named(text: str, teacher: str) -> str:
    """The layers of a teacher as they are named among those of several."""
    layers = FeatureKey.parse(text).layers
    return str(FeatureKey(tuple(f"{layer}.{teacher}" for layer in layers)))


def check_recorded(layer: str, shapes: Mapping[str, Shape]) -> None:
    """Refuse a layer that a record of embeddings does not have, and suggest what works without."""
    kind, point, name = layer.partition(".")
    kinds = {each.partition(".")[0] for each in shapes}
    if not kinds or kinds - {"embedding", "frames"} or layer in shapes:
        return
    other = "frames" if kind == "embedding" else "embedding"
    if kind in ("embedding", "frames") and f"{other}{point}{name}" not in shapes:
        return  # another name of a record, which is suggested
    if kind == "embedding":
        raise PairError(
            "the method reads 'embedding', and the record was made with --frames; time frames "
            "need a term of your own, layers: [stages.2, frames] (docs/embeddings.md, A vector "
            "for each time frame), or a record without --frames"
        )
    if kind == "frames":
        raise PairError(
            "the method reads 'frames', and the record has one vector an example; record with "
            "--frames, or take a method that reads 'embedding', such as ec"
        )
    instead = "probe-kd in place of kd" if kind == "logits" else "ec, east or to-teacher"
    raise PairError(
        f"the method reads {layer!r} of the teacher, and a record of embeddings has no {kind}, "
        f"only {', '.join(sorted(kinds))}; take {instead}, or a network as teacher"
    )


def expand(layer: str, shapes: Mapping[str, Shape]) -> list[str]:
    """`stages` to `stages.0`, `stages.1`, …; any other layer to itself."""
    if layer in shapes:
        return [layer]
    stages = [name for name in shapes if re.fullmatch(rf"{re.escape(layer)}\.\d+", name)]
    if not stages:
        raise PairError(f"nothing is read at {layer!r}; {suggest(layer, shapes)}")
    return sorted(stages, key=lambda name: int(name.rpartition(".")[2]))


def evenly(names: Sequence[str], number: int, count: int) -> str:
    """The `number`-th of `count` names that are evenly spaced, the last being the last."""
    return names[round((number + 1) * len(names) / count) - 1]


HEADS = {
    "compress": "set compress.student_head: linear",
    "pca": "set pca.student_head: linear",
    "random": "set random.student_head: linear",
    "pooled": "use to_teacher in place of pooled",
}
"""How the student-side adapter of a representation gets a head."""
ANY_HEAD = "use a representation with a head, such as project"


def check_widths(name: str, representation: str, *widths: Shape) -> None:
    """Refuse a pair whose representations a loss cannot compare entry by entry."""
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
        f"expected equal ones: {HEADS.get(representation, ANY_HEAD)}"
    )
