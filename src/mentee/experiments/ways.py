"""What is made of vectors and few labels: neighbors, a regression, a trained layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mentee.data import Examples, split
from mentee.errors import DataError
from mentee.experiments.embeddings import EmbeddingSource
from mentee.experiments.labeled import Rows, Subset, TrainingSetup
from mentee.metrics import Labeled, LinearLayer, knn, train_layer
from mentee.recipe import Probe
from mentee.types import CLEAN

HELD_OUT = 0.2
"""Of a subset, the share that chooses the strength of a penalty."""


@dataclass(frozen=True)
class Read:
    """What somebody says of all that is learned from, and of the test part.

    Attributes:
        rows: those of the training part, in order.
        train: `[n, d]` of these, clean.
        views: `[v, n, d]`, augmented; None: not needed.
        test: of the whole test part.
    """

    rows: Rows
    train: Tensor
    views: Tensor | None
    test: Tensor

    def of(self, rows: Rows) -> Tensor:
        """Where some rows stand in `train`."""
        return torch.from_numpy(np.searchsorted(self.rows, rows))


def read(speaker: EmbeddingSource, parts: TrainingSetup, rows: Rows, views: int) -> Read:
    """Ask somebody for the vectors of some rows of the training part and of the test part."""
    seen = [speaker.of("train", rows, view) for view in range(views)] if speaker.augmented else []
    return Read(
        rows,
        speaker.of("train", rows, CLEAN),
        torch.stack(seen) if seen else None,
        speaker.of("test", np.arange(len(parts.test)), CLEAN),
    )


def labeled(examples: Examples, vectors: Tensor) -> Labeled:
    """Vectors with the labels of the same examples."""
    mask = None if examples.mask is None else torch.as_tensor(examples.mask)
    return Labeled(vectors, torch.as_tensor(examples.labels), mask)


def by_neighbors(
    found: Read, parts: TrainingSetup, subset: Subset, said: Probe
) -> dict[str, float]:
    """The main score by the nearest of the subset."""
    known = labeled(parts.train.take(subset.rows), found.train[found.of(subset.rows)])
    averages = knn(
        known.vectors,
        known.labels,
        found.test,
        classes=parts.classes,
        k=said.knn,
        temperature=said.temperature,
        mask=known.mask,
    )
    task = parts.test.task
    name = task.main_score or ""
    return {name: scored(task.outputs_of_neighbors(averages), parts)[name]}


def by_regression(found: Read, parts: TrainingSetup, subset: Subset) -> LinearLayer:
    """The task's linear probe; a fifth of the subset chooses its strength, then all is used."""
    some, task = parts.train.take(subset.rows), parts.test.task
    known = labeled(some, found.train[found.of(subset.rows)])
    try:
        part, held_out = split(some, fraction=HELD_OUT, seed=subset.seed)
    except DataError:  # one example of each class: nothing can choose
        return task.linear_probe(known, k=parts.classes)
    sides = [torch.from_numpy(np.flatnonzero(np.isin(some.keys, e.keys))) for e in (part, held_out)]
    validation = known.take(sides[0]), known.take(sides[1])
    try:
        return task.linear_probe(known, k=parts.classes, validation=validation)
    except DataError:  # what was held out has no class with both kinds of examples
        return task.linear_probe(known, k=parts.classes)


def by_steps(found: Read, parts: TrainingSetup, subset: Subset, said: Probe) -> LinearLayer:
    """A layer trained by steps of gradient descent."""
    rows = found.of(subset.rows)
    return train_layer(
        labeled(parts.train.take(subset.rows), found.train[rows]),
        k=parts.classes,
        loss=parts.test.task.loss,
        views=None if found.views is None else found.views[:, rows],
        seed=subset.seed,
        **said.layer.model_dump(exclude={"views"}),
    )


def scored(logits: Tensor, parts: TrainingSetup) -> dict[str, float]:
    """The scores of predictions of the test part."""
    mask = None if parts.test.mask is None else torch.as_tensor(parts.test.mask)
    return parts.test.task.scores(logits, torch.as_tensor(parts.test.labels), mask)
