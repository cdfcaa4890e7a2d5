"""Scores of a student's embedding while it trains: nearest neighbors, and a linear probe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.data import Examples
from mentee.data.counter_rng import below
from mentee.evaluation.student_reader import StudentReader
from mentee.metrics import Labeled, leave_one_out, scores_without_groups
from mentee.metrics.jackknife import GROUPS
from mentee.parallel import broadcast_buffers
from mentee.recipe import Monitor
from mentee.representations.pooled import averaged
from mentee.tasks import Task

FOLDS = 5


@dataclass(frozen=True)
class MonitorResult:
    """The scores of one evaluation.

    Attributes:
        examples: how many there are.
        knn: the main score by the neighbors: accuracy, or mean average precision.
        left_out: the same without each of 20 groups of the examples.
        probe: the main score of a linear probe, by cross-validation; None: not in the recipe.
    """

    examples: int
    knn: float
    left_out: list[float]
    probe: float | None

    def summary(self) -> dict[str, Any]:
        """Its entry of `summary.json`."""
        return {"examples": self.examples, "knn": self.knn, "probe": self.probe}


def monitor_scores(reader: StudentReader, config: Monitor, examples: Examples) -> MonitorResult:
    """Score a student's embedding of labeled examples, none of them augmented."""
    broadcast_buffers(reader.network)
    vectors = averaged(reader.features(examples, "embedding")["embedding"])
    labels = torch.as_tensor(examples.labels)
    mask = None if examples.mask is None else torch.as_tensor(examples.mask)
    classes = len(examples.classes or ())
    shares = leave_one_out(
        vectors, labels, classes=classes, k=config.knn, temperature=config.temperature, mask=mask
    )
    groups = below(GROUPS, 0, examples.keys, "monitor")
    worth = partial(neighbors_score, examples.task, shares, labels, mask)
    probe = None
    if config.probe:
        probe = cross_validated(
            examples.task, Labeled(vectors, labels, mask), classes, groups % FOLDS
        )
    every = np.arange(len(vectors))
    return MonitorResult(len(every), worth(every), scores_without_groups(worth, groups), probe)


def neighbors_score(
    task: Task, averages: Tensor, labels: Tensor, mask: Tensor | None, rows: Any
) -> float:
    """The main score of some examples by their neighbors."""
    chosen = torch.as_tensor(rows)
    known = None if mask is None else mask[chosen]
    return task.neighbors_score(averages[chosen], labels[chosen], known)


def cross_validated(task: Task, whole: Labeled, k: int, folds: Any) -> float:
    """The main score of linear probes, each example predicted by one that was not fitted on it."""
    outputs = held_out_outputs(task, whole, k, folds)
    return task.scores(outputs, whole.labels, whole.mask).get(task.main_score or "", 0.0)


def held_out_outputs(task: Task, whole: Labeled, k: int, folds: Any) -> Tensor:
    """`[n, k]` outputs of linear probes, each example's by one that was not fitted on its fold."""
    outputs = torch.zeros(len(whole), k)
    for fold in range(FOLDS):
        held_out = torch.as_tensor(np.flatnonzero(folds == fold))
        rest = torch.as_tensor(np.flatnonzero(folds != fold))
        outputs[held_out] = task.linear_probe(whole.take(rest), k=k)(whole.vectors[held_out])
    return outputs
