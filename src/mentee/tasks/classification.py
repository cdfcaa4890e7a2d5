"""Classification: one class an example, or any number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mentee.errors import DataError
from mentee.metrics import (
    Labeled,
    LinearLayer,
    class_scores,
    classification_scores,
    label_scores,
    linear_probe,
    logistic_regressions,
    multilabel_scores,
    softmax_regression,
)
from mentee.tasks.class_counts import (
    class_weights,
    positive_weights,
    refuse_empty_classes,
    refuse_one_class,
)
from mentee.tasks.label_cells import holds_rows
from mentee.tasks.label_columns import class_numbers
from mentee.tasks.label_rows import several_labels
from mentee.tasks.mixed_labels import mean_of_known
from mentee.tasks.task import Integers, Labels, Task
from mentee.types import constants

SMALL = 1e-6
"""Least probability of a class that no neighbor has."""


@dataclass(frozen=True)
class SingleLabel(Task):
    """One class an example.

    Attributes:
        label_smoothing: share of the label that is spread over all classes, in [0, 1).
        class_weights: of each class, in its loss; None: they are equal.
    """

    name = "single"
    outputs = "class logits"
    main_score = "accuracy"
    higher_is_better = {  # noqa: RUF012
        "accuracy": True,
        "balanced_accuracy": True,
        "macro_f1": True,
        "top5": True,
        "loss": False,
        "ece": False,
    }
    class_scores = {"recall": True, "precision": True, "f1": True}  # noqa: RUF012

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def with_label_smoothing(self, share: float) -> SingleLabel:
        """The same task with softened labels in its loss."""
        return replace(self, label_smoothing=share)

    def with_class_weights(
        self, weights: Mapping[str, float] | str | None, labels: Labels
    ) -> SingleLabel:
        """The same with a weight for each class."""
        if weights is None or labels.values is None:
            return self
        return replace(self, class_weights=class_weights(weights, labels))

    def read_labels(
        self,
        values: Any,
        *,
        names: tuple[str, ...] | None = None,
        classes: tuple[str, ...] | None = None,
        sets: bool = False,
    ) -> Labels:
        """Class numbers or class names."""
        if holds_rows(values):
            raise DataError("task single reads one label an example, and these are several")
        numbers, known = class_numbers(values, names, classes)
        return Labels(numbers, None, known, self)

    def check_training_labels(self, labels: Labels, name: str) -> None:
        """Every class needs an example, and there are at least two."""
        if labels.values is not None and labels.classes is not None:
            k = len(labels.classes)
            counts = np.bincount(labels.values.astype(np.int64), minlength=k)
            refuse_empty_classes(labels.classes, counts, name)
            if k == 1:
                refuse_one_class(
                    f"each labeled example of {name} is of the class {labels.classes[0]!r}"
                )

    def strata(self, labels: npt.NDArray[Any]) -> Integers:
        """The classes."""
        return labels.astype(np.int64)

    def contrast_groups(self, labels: npt.NDArray[Any]) -> Integers | None:
        """The classes."""
        return labels.astype(np.int64)

    def placeholder(self, n: int, k: int) -> Tensor:
        """Each class in turn."""
        return torch.arange(n) % k

    def loss(
        self,
        outputs: Float[Tensor, "b k"],
        labels: Int64[Tensor, " b"],
        mask: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        r"""Cross-entropy, 0 where the class is −1: not known.

        .. math:: \ell_i = -\sum_c w_c \bigl((1 - \epsilon) [y_i = c] + \tfrac{\epsilon}{k}\bigr)
                  \log \mathrm{softmax}(z_i)_c

        Example:
            >>> round(SingleLabel().loss(torch.zeros(1, 2), torch.tensor([1])).item(), 4)
            0.6931
        """
        weights = self.class_weights
        return F.cross_entropy(
            outputs,
            labels,
            weight=None if weights is None else constants(weights, outputs),
            reduction="none",
            label_smoothing=self.label_smoothing,
            ignore_index=-1,
        )

    def scores(
        self,
        outputs: Float[Tensor, "n k"],
        labels: Tensor,
        mask: Tensor | None = None,
        *,
        threshold: float = 0.5,
    ) -> dict[str, float]:
        """`accuracy`, `balanced_accuracy`, `macro_f1`, `top5` (of six or more), `loss`, `ece`."""
        return classification_scores(outputs, labels)

    def scores_by_class(
        self, outputs: Tensor, labels: Tensor, mask: Tensor | None = None, threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """`examples`, `predicted` (how often), `recall`, `precision`, `f1` of each class."""
        return class_scores(outputs, labels)

    def majority(self, labels: Tensor) -> float:
        """The share of the most frequent class."""
        return float(labels.bincount().max() / len(labels))

    def near_chance(self, scores: Mapping[str, float], k: int) -> bool:
        r"""Recall of the classes hardly above the :math:`1/k` of guessing.

        Less than twice that, and of few classes less than a ninth of the way from it to 1.
        """
        return scores["balanced_accuracy"] < min(2 / k, 1 / k + (1 - 1 / k) / 9)

    def predictions(self, outputs: Tensor) -> dict[str, npt.NDArray[Any]] | None:
        """`classes`, the likeliest class, and `confidence`, its probability."""
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            return None
        confidence, classes = outputs.float().softmax(1).max(1)
        return {"classes": classes.to(torch.int32).numpy(), "confidence": confidence.numpy()}

    def outputs_of_neighbors(self, averages: Tensor) -> Tensor:
        """Log-probabilities."""
        return averages.clamp(min=SMALL).log()

    def neighbors_score(self, averages: Tensor, labels: Tensor, mask: Tensor | None) -> float:
        """Accuracy of the class that most neighbors have."""
        return float((averages.argmax(1) == labels).double().mean())

    def linear_probe(
        self, train: Labeled, *, k: int, validation: tuple[Labeled, Labeled] | None = None
    ) -> LinearLayer:
        """Softmax regression; the penalty of the best accuracy."""
        return linear_probe(train, k, softmax_regression, self._accuracy, validation=validation)

    def _accuracy(self, outputs: Tensor, labeled: Labeled) -> float:
        return self.scores(outputs, labeled.labels)["accuracy"]


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of classes an example; of some it may not be known whether they apply."""

    name = "multi"
    outputs = "label logits"
    main_score = "map"
    higher_is_better = {"map": True, "auroc": True, "f1": True}  # noqa: RUF012
    class_scores = {"average_precision": True, "auroc": True, "f1": True}  # noqa: RUF012

    positive_weights: tuple[float, ...] | None = None

    def with_class_weights(
        self, weights: Mapping[str, float] | str | None, labels: Labels
    ) -> MultiLabel:
        """The same with a weight for the positive examples of each class."""
        if weights is None or labels.values is None:
            return self
        return replace(self, positive_weights=positive_weights(weights, labels))

    def read_labels(
        self,
        values: Any,
        *,
        names: tuple[str, ...] | None = None,
        classes: tuple[str, ...] | None = None,
        sets: bool = False,
    ) -> Labels:
        """Rows of 0/1, or lists of the classes that apply."""
        if len(values) and not holds_rows(values):
            raise DataError(
                "task multi reads a row of 0/1, or a list of classes, for each example; these are "
                "single labels"
            )
        table, mask, known, notes = several_labels(values, names, classes, sets)
        return Labels(table, mask, known, self, notes)

    def check_training_labels(self, labels: Labels, name: str) -> None:
        """Every class needs a positive example, and some a negative one."""
        if labels.values is not None and labels.classes is not None:
            refuse_empty_classes(labels.classes, labels.values.sum(axis=0), name)
            if labels.values.all() and (labels.mask is None or labels.mask.all()):
                refuse_one_class(f"each labeled example of {name} has every class")

    def limit_rank(self, labels: npt.NDArray[Any], order: Integers) -> Integers:
        """0 for an example that has a class which none before it in the order has, else 1."""
        rank = np.ones(len(labels), np.int64)
        missing = (labels > 0).any(0)
        for row in order:
            new = (labels[row] > 0) & missing
            if new.any():
                rank[row], missing = 0, missing & ~new
            if not missing.any():
                break
        return rank

    def placeholder(self, n: int, k: int) -> Tensor:
        """0 and 1 at random."""
        return torch.randint(2, (n, k)).float()

    def loss(
        self,
        outputs: Float[Tensor, "b k"],
        labels: Float[Tensor, "b k"],
        mask: Bool[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, " b"]:
        r"""Binary cross-entropy, the mean over the labels that are known.

        Example:
            >>> one, known = torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]])
            >>> round(MultiLabel().loss(torch.zeros(1, 2), one, known).item(), 4)
            0.6931
        """
        weights = self.positive_weights
        each = F.binary_cross_entropy_with_logits(
            outputs,
            labels,
            pos_weight=None if weights is None else constants(weights, outputs),
            reduction="none",
        )
        return mean_of_known(each, mask)

    def scores(
        self,
        outputs: Float[Tensor, "n k"],
        labels: Tensor,
        mask: Tensor | None = None,
        *,
        threshold: float = 0.5,
    ) -> dict[str, float]:
        """`map`, `auroc`, `f1`, means over the classes with both kinds of examples."""
        return multilabel_scores(outputs, labels, mask, threshold=threshold)

    def scores_by_class(
        self, outputs: Tensor, labels: Tensor, mask: Tensor | None = None, threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """`examples`, `positive`, `predicted`, `average_precision`, `auroc`, `f1` of each class."""
        return label_scores(outputs, labels, mask, threshold=threshold)

    def near_chance(self, scores: Mapping[str, float], k: int) -> bool:
        """Positive examples hardly ranked above negative ones: by chance 0.5."""
        return scores["auroc"] < 0.55

    def outputs_of_neighbors(self, averages: Tensor) -> Tensor:
        """Log-odds."""
        return torch.logit(averages, eps=SMALL)

    def linear_probe(
        self, train: Labeled, *, k: int, validation: tuple[Labeled, Labeled] | None = None
    ) -> LinearLayer:
        """A logistic regression for each class; the penalty of the best mean average precision."""
        return linear_probe(train, k, logistic_regressions, self._map, validation=validation)

    def _map(self, outputs: Tensor, labeled: Labeled) -> float:
        return self.scores(outputs, labeled.labels, labeled.mask)["map"]
