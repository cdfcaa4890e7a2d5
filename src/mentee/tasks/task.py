"""What a student is trained to predict: the interface of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.errors import MenteeError, RecipeError, suggest
from mentee.metrics import Labeled, LinearLayer
from mentee.tasks.mixed_labels import (
    by_class,
    entry_weight,
    labeled_weight,
    mixed_labels,
    mixed_mask,
)
from mentee.types import Batch

Integers: TypeAlias = npt.NDArray[np.int64]
SomeTask = TypeVar("SomeTask", bound="Task")

Outputs: TypeAlias = Literal["class logits", "label logits", "values"]
"""What a network's outputs are: logits of classes of which one is right, logits of labels of which
each may be right, or real values."""

OUTPUTS: dict[Outputs, str] = {
    "class logits": "one class an example",
    "label logits": "several classes an example",
    "values": "real values (regression)",
}
"""The labels that such outputs are for, in words."""


@dataclass(frozen=True)
class Labels:
    """The labels of some examples.

    Attributes:
        values: `[n]` int64 class numbers, or `[n, k]` float32, or None: no labels.
        mask: `[n, k]`, true where a label is known; None: all are.
        classes: the names of the `k` outputs, in their order: of classes, or of targets; None
            without labels.
        task: whose labels they are; None: told by their shape.
        notes: lines that tell how they were read, where that may surprise.
    """

    values: npt.NDArray[np.int64] | npt.NDArray[np.float32] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    classes: tuple[str, ...] | None = None
    task: Task | None = None
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> npt.NDArray[np.bool_] | None:
        """`[n]`, whether anything is known of an example; None: of each, or there are no labels."""
        if self.values is None or (self.values.ndim == 2 and self.mask is None):
            return None
        rows = np.asarray(self.values >= 0 if self.mask is None else self.mask.any(1))
        return None if rows.all() else rows


@dataclass(frozen=True)
class Task:
    """What the labels are, and all that follows from it; one object per kind of label.

    The methods here are those of a task whose labels are numbers `[n, k]` that may be unknown.
    A task of your own overrides `read_labels`, `loss`, `scores` and what else differs. The fields
    of a subclass are its parameters: `data.task: {name: ..., params: {...}}`.

    Attributes:
        name: what `data.task` calls it.
        outputs: what the student's outputs are; a loss for other outputs is refused. None: any.
        main_score: the score that chooses weights and compares methods; None: there is none.
        higher_is_better: every score by name, and in which direction it is better.
        class_scores: the same of the scores that each class has: those of `scores_by_class`.
    """

    name: ClassVar[str]
    outputs: ClassVar[Outputs | None] = None
    main_score: ClassVar[str | None] = None
    higher_is_better: ClassVar[Mapping[str, bool]] = {}
    class_scores: ClassVar[Mapping[str, bool]] = {}

    # Parameters

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters that are not their defaults, as a recipe has them."""
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, (value, default) in values.items()
            if value != default
        }

    def configured(self: SomeTask, params: Mapping[str, Any]) -> SomeTask:
        """The same task with other parameters.

        Raises:
            RecipeError: it has no such parameter, or the value is out of range.
        """
        known = [each.name for each in fields(self)]
        for name in params:
            if name not in known:
                raise RecipeError(
                    f"task {self.name} has no parameter {name!r}: {suggest(name, known)}"
                )
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in params.items()}
        return replace(self, **values)

    def fitted(self: SomeTask, labels: Labels) -> SomeTask:
        """The same task with what it has to know of the training labels."""
        return self

    def with_label_smoothing(self: SomeTask, share: float) -> SomeTask:
        """The same task with softened labels in its loss, where it has classes."""
        return self

    def with_class_weights(
        self: SomeTask, weights: Mapping[str, float] | str | None, labels: Labels
    ) -> SomeTask:
        """The same task with weights in its loss: by class, 1 of all others, or `balanced`.

        Raises:
            RecipeError: the task has no classes, or there is no such class.
        """
        if weights is not None:
            raise RecipeError(
                f"train.class_weights weighs classes, and the task is {self.name}; leave it out"
            )
        return self

    # Data

    def read_labels(
        self,
        values: Any,
        *,
        names: tuple[str, ...] | None = None,
        classes: tuple[str, ...] | None = None,
        sets: bool = False,
    ) -> Labels:
        """Read one column of labels; the arguments are those of `mentee.tasks.read_labels`.

        Raises:
            DataError: a label is missing or not what it should be.
        """
        raise NotImplementedError

    def check_training_labels(self, labels: Labels, name: str) -> None:
        """Refuse labels that there is nothing to learn from.

        Raises:
            DataError: there is nothing to learn.
        """

    def strata(self, labels: npt.NDArray[Any]) -> Integers:
        """`[n]`: the group of each example; splits and limits keep their proportions."""
        return np.zeros(len(labels), np.int64)

    def limit_rank(self, labels: npt.NDArray[Any], order: Integers) -> Integers | None:
        """`[n]`: which examples a limit takes first, lowest first; None: an equal number a group.

        The order is that of the rows in which a limit looks at them.
        """
        return None

    def least_examples(self, k: int) -> int:
        """How many labeled examples a part of k outputs needs at least, to be learned from."""
        return k

    def contrast_groups(self, labels: npt.NDArray[Any]) -> Integers | None:
        """`[n]`: examples of one group are no negatives of each other; None: all are."""
        return None

    def placeholder(self, n: int, k: int) -> Tensor:
        """Made-up labels of n examples and k outputs, to measure a training step with."""
        return torch.randn(n, k)

    # Training

    def loss(self, outputs: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of each example, `[b]`, 0 for one of which no label is known.

        Args:
            outputs: `[b, k]`.
            labels: `[b]` or `[b, k]`.
            mask: `[b, k]`, true where a label is known; None: all are.
        """
        raise NotImplementedError

    def targets(self, labels: Tensor) -> Tensor:
        """Labels in the units of the outputs."""
        return labels

    def batch_loss(self, batch: Batch, outputs: Tensor) -> Tensor:
        r"""The loss `[b]` of each example of a batch, whether its examples were mixed or not.

        The mean over the batch is that over what is known: of one class an example over the
        labeled examples, of several labels over all labels of the batch that are known, wherever
        they stand. What is unknown counts as 0, and the rest is weighted for it.

        Raises:
            MenteeError: the batch has no labels.

        Memory: O(b k). Source: arXiv:1710.09412 (mixup), arXiv:2306.17424 (masks).
        """
        if batch.labels is None:
            raise MenteeError("the task's loss needs labels, and the batch has none")
        if batch.labels.ndim == 2:
            mask = mixed_mask(batch)
            losses = self.loss(outputs, mixed_labels(batch), mask)
            if mask is not None:
                return losses * entry_weight(mask).to(losses)
        else:
            losses = by_class(batch, lambda labels: self.loss(outputs, labels))
        return losses if batch.labeled is None else losses * labeled_weight(batch)

    def loss_with_labels(self, batch: Batch, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """A distillation loss of each example that reads labels, in the units of the outputs."""
        if batch.labels is not None and batch.labels.ndim == 2:
            return loss(self.targets(mixed_labels(batch)))
        return by_class(batch, loss)

    # Evaluation

    def scores(
        self,
        outputs: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
        *,
        threshold: float = 0.5,
    ) -> dict[str, float]:
        """All scores of some outputs.

        Args:
            outputs: `[n, k]`.
            labels: `[n]` or `[n, k]`.
            mask: `[n, k]`, true where a label is known.
            threshold: of several classes: a probability above it counts as yes; in (0, 1).

        Raises:
            DataError: there is nothing to score.
        """
        raise NotImplementedError

    def scores_by_class(
        self, outputs: Tensor, labels: Tensor, mask: Tensor | None = None, threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """The scores of each output: `examples`, and those of `class_scores` or None.

        The arguments are those of `scores`; an empty list: the task has no such scores.
        """
        return []

    def majority(self, labels: Tensor) -> float | None:
        """The accuracy of always predicting the most frequent class; None: there is none."""
        return None

    def direction(self, name: str) -> bool:
        """Whether more of a score is better; `recall/NAME` is that of a class."""
        score, of_class, _ = name.partition("/")
        return (self.class_scores if of_class else self.higher_is_better).get(score, True)

    def worth(self, scores: Mapping[str, float], name: str | None = None) -> float:
        """A score (None: the main one), turned so that more is better."""
        name = name or self.main_score
        if name is None or name not in scores:
            return 0.0
        return scores[name] if self.direction(name) else -scores[name]

    def near_chance(self, scores: Mapping[str, float], k: int) -> bool:
        """Whether a network with these scores is hardly better than one that learned nothing."""
        return False

    def predictions(self, outputs: Tensor) -> dict[str, npt.NDArray[Any]] | None:
        """What `predictions.npz` keeps of each example; None: nothing.

        `classes` and `confidence`, `[n]`, or `values`, `[n, k]`.
        """
        return None

    # Probes of an embedding

    def outputs_of_neighbors(self, averages: Tensor) -> Tensor:
        """Outputs that stand for what `metrics.knn` averaged over the neighbors, `[n, k]`."""
        return averages

    def neighbors_score(self, averages: Tensor, labels: Tensor, mask: Tensor | None) -> float:
        """The main score of what `metrics.knn` averaged over the neighbors."""
        outputs = self.outputs_of_neighbors(averages)
        return self.scores(outputs, labels, mask).get(self.main_score or "", 0.0)

    def linear_probe(
        self, train: Labeled, *, k: int, validation: tuple[Labeled, Labeled] | None = None
    ) -> LinearLayer:
        """The best linear layer from vectors to outputs.

        Args:
            train: what it is fitted on in the end.
            k: outputs.
            validation: (what it is fitted on while the penalty is chosen, what chooses it).

        Raises:
            DataError: there is nothing to fit.
        """
        raise NotImplementedError
