"""The scores of a network's outputs by their labels: of all examples, and of each class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mentee.errors import DataError
from mentee.tasks.task import Labels, Task


def label_tensors(labels: Labels) -> tuple[Task, Tensor, Tensor | None]:
    """The task, the labels and their mask.

    Raises:
        DataError: there are no labels.
    """
    if labels.task is None or labels.values is None:
        raise DataError("there are no labels to score by")
    mask = None if labels.mask is None else torch.as_tensor(labels.mask)
    return labels.task, torch.as_tensor(labels.values), mask


def scores_of(
    outputs: Tensor, labels: Labels, *, threshold: float = 0.5, by: str | None = None
) -> dict[str, float]:
    """All scores of outputs `[n, k]`; where `by` is one of a class, as `recall/NAME`, that too.

    Raises:
        DataError: there is nothing to score.
    """
    task, values, mask = label_tensors(labels)
    scores = task.scores(outputs, values, mask, threshold=threshold)
    if by is not None and "/" in by:
        value = class_score(outputs, labels, by, threshold)
        scores |= {} if value is None else {by: value}
    return scores


def scores_by_class(outputs: Tensor, labels: Labels, threshold: float = 0.5) -> dict[str, Any]:
    """The scores of each class by its name; the arguments are those of `scores_of`."""
    task, values, mask = label_tensors(labels)
    each = task.scores_by_class(outputs, values, mask, threshold)
    return dict(zip(labels.classes or (), each, strict=True)) if each else {}


def class_score(outputs: Tensor, labels: Labels, by: str, threshold: float = 0.5) -> float | None:
    """The score `SCORE/CLASS` of some outputs, 0 for the precision of what is never predicted.

    None where the labels cannot tell: there is no example of the class.
    """
    score, _, name = by.partition("/")
    entry = scores_by_class(outputs, labels, threshold).get(name) or {}
    value: float | None = entry.get(score)
    if value is None and score == "precision" and entry.get("examples"):
        return 0.0
    return value
