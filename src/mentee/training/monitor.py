"""How a student is getting on by its embedding alone: neighbors and a probe of a few labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.build.datasets import DatasetSplits, open_split
from mentee.data import Examples, limit
from mentee.data.counter_rng import below
from mentee.errors import DataError, RecipeError
from mentee.evaluation.student_reader import StudentReader
from mentee.metrics import Labeled, leave_one_out, scores_without_groups
from mentee.metrics.jackknife import GROUPS
from mentee.parallel import broadcast_buffers
from mentee.recipe import Monitor, Recipe
from mentee.tasks import Task

FOLDS = 5


@dataclass(frozen=True)
class MonitorResult:
    """What was found at one look.

    Attributes:
        examples: how many were looked at.
        knn: the main score by the neighbors: accuracy, or mean average precision.
        left_out: the same without each of 20 groups of the examples.
        probe: the main score of a linear probe, by cross-validation; None: not asked for.
    """

    examples: int
    knn: float
    left_out: list[float]
    probe: float | None


def open_monitor_examples(
    recipe: Recipe, splits: DatasetSplits, data: Any = None
) -> Examples | None:
    """The labeled examples that a recipe watches; None where it watches none.

    Args:
        recipe: as read.
        splits: of the run.
        data: what was passed instead of the recipe's source.

    Raises:
        RecipeError: the weights are to be chosen by them, and there are none.
        DataError: they cannot be read, have no labels, or are of another kind.
    """
    said = recipe.monitor
    if said is None:
        if recipe.select.by == "knn":
            raise RecipeError(
                "select.by is knn, which needs labeled examples to monitor: monitor: {split: ..., "
                "limit: 1000}"
            )
        return None
    own = said.source is None
    change: dict[str, Any] = {"label": said.label, "channels": splits.train.channels}
    if not own:
        change |= {"source": said.source, "classes": None}
    content = recipe.data.model_copy(update=change)
    examples = open_split(content, said.split or recipe.data.train, data if own else None)
    if examples.labels is None or examples.kind != splits.train.kind:
        raise DataError(
            f"monitor: {examples.name} holds {examples.kind} with "
            f"{'no ' if examples.labels is None else ''}labels; expected {splits.train.kind} with "
            "labels (monitor.label: their column)"
        )
    if said.limit is not None and said.limit < len(examples):
        examples = limit(examples, said.limit, seed=recipe.data.seed)
    return examples


def look(reader: StudentReader, said: Monitor, examples: Examples) -> MonitorResult:
    """See what a student's embedding says of labeled examples, none of them augmented."""
    broadcast_buffers(reader.network)
    vectors = pooled(reader.said(examples, "embedding")["embedding"])
    labels = torch.as_tensor(examples.labels)
    mask = None if examples.mask is None else torch.as_tensor(examples.mask)
    classes = len(examples.classes or ())
    shares = leave_one_out(
        vectors, labels, classes=classes, k=said.knn, temperature=said.temperature, mask=mask
    )
    groups = below(GROUPS, 0, examples.keys, "monitor")
    worth = partial(worth_of, examples.task, shares, labels, mask)
    probe = None
    if said.probe:
        probe = cross_validated(
            examples.task, Labeled(vectors, labels, mask), classes, groups % FOLDS
        )
    every = np.arange(len(vectors))
    return MonitorResult(len(every), worth(every), scores_without_groups(worth, groups), probe)


def worth_of(task: Task, averages: Tensor, labels: Tensor, mask: Tensor | None, rows: Any) -> float:
    """The main score of some examples by their neighbors."""
    chosen = torch.as_tensor(rows)
    known = None if mask is None else mask[chosen]
    return task.neighbors_score(averages[chosen], labels[chosen], known)


def cross_validated(task: Task, whole: Labeled, k: int, folds: Any) -> float:
    """The main score of linear probes, each example predicted by one that was not fitted on it."""
    outputs = torch.zeros(len(whole), k)
    for fold in range(FOLDS):
        held_out = torch.as_tensor(np.flatnonzero(folds == fold))
        rest = torch.as_tensor(np.flatnonzero(folds != fold))
        outputs[held_out] = task.linear_probe(whole.take(rest), k=k)(whole.vectors[held_out])
    return task.scores(outputs, whole.labels, whole.mask).get(task.main_score or "", 0.0)


def pooled(features: Tensor) -> Tensor:
    """One vector an example: maps and tokens by their mean.

    Example:
        >>> pooled(torch.ones(2, 3, 4, 4)).shape, pooled(torch.ones(2, 7, 3)).shape
        (torch.Size([2, 3]), torch.Size([2, 3]))
    """
    if features.ndim == 4:
        return features.mean((2, 3))
    return features.mean(1) if features.ndim == 3 else features
