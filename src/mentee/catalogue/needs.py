"""What a method needs of teacher, student and data, found by binding it to synthetic pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

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


def needs(method: Method) -> list[str]:
    """What a method needs, in a few words each.

    First the teacher has the shapes of the student; then one thing after the other differs: the
    teacher's classes, its width, its resolution, and whether there are labels.

    Args:
        method: any, also one with composed representations.

    Example:
        >>> from mentee.methods import find
        >>> needs(find("kd"))
        ['the same classes in the same order', 'one class an example']
        >>> needs(find("crd-bank"))
        ['an embedding of any task', 'a memory']
    """
    if not method.terms:
        return ["no teacher"]
    problem = pair_error(method)
    if problem is not None:
        return [f"something that no synthetic pair has: {problem}"]
    return [*_layers(method), *_shapes(method), *_labels(method), *_memory(method)]


def _layers(method: Method) -> Iterator[str]:
    """What is read of the teacher."""
    if method.reuse:
        yield f"the teacher's linear classifier of {method.reuse}, its classes in the same order"
    layers = {name.partition(".")[0] for name in required_layers(method)[1]}
    if "logits" in layers:
        same = pair_error(method, classes=CLASSES + 1) is not None
        yield "the same classes in the same order" if same else "logits of any classes"
    any_task = layers <= {"embedding", "frames"}
    for name in ("embedding", "frames"):
        if name in layers:
            text = {"embedding": "an embedding", "frames": "time frames"}[name]
            yield f"{text} of any task" if any_task else text
    if layers & {"stem", "stages"}:
        yield "stages"
    yield from sorted(layers - {"logits", "embedding", "frames", "stem", "stages"})


def _shapes(method: Method) -> Iterator[str]:
    """How the shapes of the two are constrained."""
    wider, narrower = (pair_error(method, wide=wide) is not None for wide in (2.0, 0.5))
    if wider and narrower:
        yield "equal widths"
    elif narrower:
        yield "a teacher as wide or wider"
    elif wider:
        yield "a teacher no wider"
    if pair_error(method, fine=2) is not None:
        yield "equal resolutions"


def _labels(method: Method) -> Iterator[str]:
    """What the terms need of the labels, besides the task's loss."""
    kinds = {LOSSES[term.loss.name].outputs for term in method.terms}
    yield from (text for outputs, text in OUTPUTS.items() if outputs in kinds)
    if pair_error(method, labels=False) is not None:
        yield "labels"


def _memory(method: Method) -> Iterator[str]:
    """Whether it needs a memory, and a teacher that cannot be recorded."""
    if any(term.memory for term in method.terms):
        yield "a memory"
    criterion = bind_synthetic(method)
    if any(criterion.adapters_of(bound)[1].reduction is None for bound in criterion.bound_terms):
        yield "an online teacher (nothing can be recorded)"


def pair_error(method: Method, **pair: Any) -> str | None:
    """Why a method does not fit a pair, as for `bind_synthetic`; None: it does."""
    try:
        bind_synthetic(method, **pair)
    except MenteeError as error:
        return str(error)
    return None


def bind_synthetic(
    method: Method,
    *,
    wide: float = 1.0,
    fine: int = 1,
    classes: int = CLASSES,
    labels: bool = True,
) -> DistillationLoss:
    """A method bound to the shapes of a synthetic pair of networks.

    `wide` and `fine` are the teacher's width and resolution over the student's, `classes` the
    teacher's outputs, of which the student has 10.
    """
    names = required_layers(method)
    student = dict(each for name in names[0] for each in shapes_at(name, 1.0, 1, CLASSES))
    teacher = dict(each for name in names[1] for each in shapes_at(name, wide, fine, classes))
    if PROJECTOR in student:  # it has the teacher's shape
        student[PROJECTOR] = next(shapes_at(method.reuse, wide, fine, classes))[1]
    return DistillationLoss(
        method,
        student,
        teacher,
        groups=torch.zeros(EXAMPLES, dtype=torch.int32) if labels else None,
        examples=EXAMPLES,
        classes=CLASSES if labels else None,
        statistics=partial(statistics, teacher),
    )


def shapes_at(layer: str, wide: float, fine: int, classes: int) -> Iterator[tuple[str, Shape]]:
    """The shapes of a layer, or of all layers that its name stands for."""
    kind, _, which = layer.partition(".")
    if kind in ("logits", "embedding", "frames"):
        width = int(128 * wide)
        yield layer, {"logits": (classes,), "embedding": (width,), "frames": (12, width)}[kind]
    elif kind == "stages" and not which:
        for number in range(3):
            yield from shapes_at(f"stages.{number}", wide, fine, classes)
    else:
        number = int(which) if kind == "stages" and which.isdigit() else 2 * (kind == "stages")
        side = max(8 >> number, 2) * fine
        yield layer, (int((16 << min(number, 2)) * wide), side, side)


def statistics(shapes: Mapping[str, Shape], layer: str) -> Statistics:
    """Statistics of a teacher's features with zero mean and unit variance."""
    shape = shapes[FeatureKey.parse(layer).layers[0]]
    d = shape[0] if len(shape) == 3 else shape[-1]
    return Statistics(torch.zeros(d), torch.ones(d), torch.eye(d), torch.ones(d))


def representation_needs(name: str) -> list[str]:
    """What a representation with its default params needs besides the shapes of a pair.

    Example:
        >>> [representation_needs(name) for name in ("compress", "reviewkd", "as_is")]
        [['statistics of the vectors', 'labels'], ['several layers together'], []]
    """
    result: dict[str, None] = {}

    class RecordingPairInfo(PairInfo):
        def labels(self, name: str) -> int:
            result["labels"] = None
            return super().labels(name)

        def measured(self, name: str) -> Statistics:
            result["statistics of the vectors"] = None
            return super().measured(name)

    if name in SEVERAL:
        return ["several layers together"]
    if takes(REPRESENTATIONS[name], "other_adapters"):
        return ["a term of `compress` at the same layer"]
    if takes(REPRESENTATIONS[name], "pair_info"):
        shapes = dict(shapes_at("embedding", 1.0, 1, CLASSES))
        pair_info = RecordingPairInfo(CLASSES, partial(statistics, shapes, "embedding"))
        both = shapes["embedding"], shapes["embedding"]
        build_adapters(Component(name), both, {"pair_info": pair_info}, REPRESENTATIONS)
    return list(result)
