"""What a row asks of teacher, student and data: found by binding it to made-up networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch

from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.distillation.terms import build_adapters, takes
from mentee.errors import MenteeError
from mentee.losses import LOSSES
from mentee.methods import Component, Method
from mentee.models import PROJECTOR
from mentee.representations import REPRESENTATIONS, SEVERAL, PairInfo, Shape
from mentee.tasks import OUTPUTS
from mentee.types import FeatureKey, Statistics

CLASSES, EXAMPLES = 10, 64


def needs(row: Method) -> list[str]:
    """What a row asks for, in a few words each.

    A twin of the student teaches it first; then one thing after the other is made to differ: the
    teacher's classes, its width, its resolution, and whether there are labels.

    Args:
        row: any; also one with representations of representations.

    Example:
        >>> from mentee.methods import find
        >>> needs(find("kd"))
        ['the same classes in the same order', 'one class an example']
        >>> needs(find("crd"))
        ['an embedding of any task', 'a memory']
    """
    if not row.terms:
        return ["no teacher"]
    problem = refused(row)
    if problem is not None:
        return [f"what no made-up pair has: {problem}"]
    return [*_read(row), *_shapes(row), *_labels(row), *_beyond(row)]


def _read(row: Method) -> Iterator[str]:
    """What is read of the teacher."""
    if row.reuse:
        yield f"the teacher's linear classifier of {row.reuse}, its classes in the same order"
    places = {name.partition(".")[0] for name in required_layers(row)[1]}
    if "logits" in places:
        same = refused(row, classes=CLASSES + 1) is not None
        yield "the same classes in the same order" if same else "logits of any classes"
    alone = places <= {"embedding", "frames"}
    for name in ("embedding", "frames"):
        if name in places:
            what = {"embedding": "an embedding", "frames": "time frames"}[name]
            yield f"{what} of any task" if alone else what
    if places & {"stem", "stages"}:
        yield "stages"
    yield from sorted(places - {"logits", "embedding", "frames", "stem", "stages"})


def _shapes(row: Method) -> Iterator[str]:
    """How the shapes of the two have to agree."""
    wider, narrower = (refused(row, wide=wide) is not None for wide in (2.0, 0.5))
    if wider and narrower:
        yield "equal widths"
    elif narrower:
        yield "a teacher as wide or wider"
    elif wider:
        yield "a teacher no wider"
    if refused(row, fine=2) is not None:
        yield "equal resolutions"


def _labels(row: Method) -> Iterator[str]:
    """What is asked of the labels, beside what the task's loss does."""
    agreements = [LOSSES[term.loss.name] for term in row.terms]
    kinds = {each.outputs for each in agreements}
    yield from (words for outputs, words in OUTPUTS.items() if outputs in kinds)
    if refused(row, labels=False) is not None:
        yield "labels"


def _beyond(row: Method) -> Iterator[str]:
    """What is kept, and what cannot be."""
    if any(term.memory for term in row.terms):
        yield "a memory"
    criterion = made_up(row)
    if any(criterion.adapters_of(bound)[1].reduction is None for bound in criterion.bound_terms):
        yield "a teacher that runs beside (nothing to record)"


def refused(
    row: Method,
    *,
    wide: float = 1.0,
    fine: int = 1,
    classes: int = CLASSES,
    labels: bool = True,
) -> str | None:
    """Why a row does not fit a made-up pair; None: it does."""
    try:
        made_up(row, wide=wide, fine=fine, classes=classes, labels=labels)
    except MenteeError as error:
        return str(error)
    return None


def made_up(
    row: Method,
    *,
    wide: float = 1.0,
    fine: int = 1,
    classes: int = CLASSES,
    labels: bool = True,
) -> DistillationLoss:
    """A row bound to a pair that is none.

    Args:
        row: any.
        wide: the teacher's width over the student's.
        fine: the same of the resolution.
        classes: of the teacher; the student has 10.
        labels: whether the examples have any.
    """
    ours, theirs = required_layers(row)
    student = dict(each for place in ours for each in said(place, 1.0, 1, CLASSES))
    teacher = dict(each for place in theirs for each in said(place, wide, fine, classes))
    if PROJECTOR in student:  # it gives what the teacher says
        student[PROJECTOR] = next(said(row.reuse, wide, fine, classes))[1]
    return DistillationLoss(
        row,
        student,
        teacher,
        groups=torch.zeros(EXAMPLES, dtype=torch.int32) if labels else None,
        examples=EXAMPLES,
        classes=CLASSES if labels else None,
        statistics=partial(statistics, teacher),
    )


def said(place: str, wide: float, fine: int, classes: int) -> Iterator[tuple[str, Shape]]:
    """The shapes of a place, or of all that its name stands for."""
    kind, _, which = place.partition(".")
    if kind in ("logits", "embedding", "frames"):
        width = int(128 * wide)
        yield place, {"logits": (classes,), "embedding": (width,), "frames": (12, width)}[kind]
    elif kind == "stages" and not which:
        for number in range(3):
            yield from said(f"stages.{number}", wide, fine, classes)
    else:
        number = int(which) if kind == "stages" and which.isdigit() else 2 * (kind == "stages")
        side = max(8 >> number, 2) * fine
        yield place, (int((16 << min(number, 2)) * wide), side, side)


def statistics(shapes: Mapping[str, Shape], place: str) -> Statistics:
    """Of a teacher's vectors that do not exist."""
    shape = shapes[FeatureKey.parse(place).layers[0]]
    d = shape[0] if len(shape) == 3 else shape[-1]
    return Statistics(torch.zeros(d), torch.ones(d), torch.eye(d), torch.ones(d))


def asked(name: str) -> list[str]:
    """What a representation asks for beyond the shapes of a pair, with the numbers it has.

    Args:
        name: of the representation.

    Example:
        >>> asked("compress"), asked("reviewkd"), asked("as_is")
        (['statistics of the vectors', 'labels'], ['several places together'], [])
    """
    found: dict[str, None] = {}

    class SignalGuard(PairInfo):
        def labels(self, name: str) -> int:
            found["labels"] = None
            return super().labels(name)

        def measured(self, name: str) -> Statistics:
            found["statistics of the vectors"] = None
            return super().measured(name)

    if name in SEVERAL:
        return ["several places together"]
    if takes(REPRESENTATIONS[name], "other_adapters"):
        return ["a term of `compress` at the same place"]
    if takes(REPRESENTATIONS[name], "pair_info"):
        shapes = dict(said("embedding", 1.0, 1, CLASSES))
        pair_info = SignalGuard(CLASSES, partial(statistics, shapes, "embedding"))
        both = shapes["embedding"], shapes["embedding"]
        build_adapters(Component(name), both, {"pair_info": pair_info}, REPRESENTATIONS)
    return list(found)
