"""How many labels each class has: weights by rarity, refusal of empty ones, a line of counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, RecipeError, first_few, suggest
from mentee.tasks.task import Labels

Weights = Mapping[str, float] | str


def class_weights(weights: Weights, labels: Labels) -> tuple[float, ...]:
    r"""Of one class an example: a weight for each class, whose mean over the examples is 1.

    So the task's loss keeps its size beside the others. With :math:`n_c` of n examples and k
    classes,

    .. math:: w_c^{balanced} = \frac{n}{k \, n_c}

    Args:
        weights: by name, 1 of those not named; or `balanced`.
        labels: of the training examples.

    Raises:
        RecipeError: there is no such class, or all weights are 0.

    Example:
        >>> class_weights("balanced", Labels(np.array([0, 0, 0, 1]), classes=("a", "b")))
        (0.6666666666666666, 2.0)
    """
    classes, values = labels.classes or (), np.asarray(labels.values, np.int64)
    counts = np.bincount(values, minlength=len(classes))
    each = _named(weights, classes, 1 / np.maximum(counts, 1))
    total = float((each * counts).sum())
    if total == 0:
        raise RecipeError("train.class_weights: all are 0, and nothing is learned; give others")
    return tuple((each * counts.sum() / total).tolist())


def positive_weights(weights: Weights, labels: Labels) -> tuple[float, ...]:
    """Of several classes an example: a weight for the positive examples of each class.

    `balanced`: its negative examples over its positive ones, of those whose label is known.

    Raises:
        RecipeError: there is no such class.
    """
    values = np.asarray(labels.values)
    known = np.ones(values.shape, np.bool_) if labels.mask is None else labels.mask
    positive = np.maximum((values * known).sum(0), 1)
    negative = np.maximum(known.sum(0) - positive, 1)
    return tuple(_named(weights, labels.classes or (), negative / positive).tolist())


def _named(
    weights: Weights, classes: tuple[str, ...], balanced: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    if isinstance(weights, str):
        return np.asarray(balanced, np.float64)
    for name in weights:
        if name not in classes:
            raise RecipeError(f"train.class_weights: no class {name!r}: {suggest(name, classes)}")
    return np.array([weights.get(name, 1.0) for name in classes], np.float64)


def refuse_empty_classes(classes: tuple[str, ...], counts: npt.NDArray[Any], name: str) -> None:
    """Refuse classes without a (positive) example."""
    empty = [each for each, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"{name} has no example of {len(empty)} of {len(classes)} classes: "
            f"{first_few(empty, 10)}; give it some, or leave these classes out of `classes`"
        )


def refuse_one_class(what: str) -> None:
    """Refuse labels that are the same for all examples."""
    raise DataError(
        f"{what}, so there is nothing to tell apart; give examples of another class too, or train "
        "on the transfer alone with data.label: false"
    )


SHOWN = 20
"""Classes that the line of counts names, those of the fewest labels first."""


def known_counts(labels: Labels) -> str | None:
    """How many labels are known of each class or target, in words; None: all are.

    Example:
        >>> table, known = np.float32([[1, 0], [0, 0]]), np.array([[True, False], [True, True]])
        >>> known_counts(Labels(table, known, ("cat", "dog")))
        'labels are known of dog 1, cat 2, of 2 examples'
    """
    if labels.mask is None or labels.values is None or labels.mask.all():
        return None
    counts, names = labels.mask.sum(0), labels.classes or ()
    yes = np.zeros(0)
    if labels.task is not None and labels.task.outputs == "label logits":
        yes = labels.values.sum(0)
    each = [
        f"{names[c]} {counts[c]:,}" + (f" ({int(yes[c]):,} yes)" if len(yes) else "")
        for c in np.argsort(counts, kind="stable")[:SHOWN]
    ]
    more = f", and {len(counts) - SHOWN} classes with more" if len(counts) > SHOWN else ""
    return f"labels are known of {', '.join(each)}{more}, of {len(labels.mask):,} examples"
