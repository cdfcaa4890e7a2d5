"""Regression: one or several real values an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mentee.errors import DataError, RecipeError, suggest
from mentee.metrics import (
    Labeled,
    LinearLayer,
    linear_probe,
    regression_scores,
    ridge_regressions,
    target_scores,
)
from mentee.tasks.label_rows import real_values
from mentee.tasks.mixed_labels import mean_of_known
from mentee.tasks.task import Integers, Labels, Task
from mentee.types import constants

BINS = 10
"""Groups of examples by the size of their first target, for splits and limits."""
LOSSES = {"mse": F.mse_loss, "l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss}


@dataclass(frozen=True)
class Regression(Task):
    r"""Real values, `[n, k]`: the student's outputs are standardized targets.

    .. math:: z = (y - \mu) / \sigma, \quad \hat y = \sigma \cdot output + \mu

    with each target's mean and standard deviation over the labeled training examples. Losses and
    teachers' outputs are in the units of z, scores and predictions in those of y.

    Attributes:
        criterion: `mse`, `l1` or `smooth_l1` of the standardized targets.
        mean: μ of each target; None: measured on the training labels.
        std: σ of each target; None: measured on the training labels.

    Raises:
        RecipeError: a parameter is out of range.
    """

    name = "regression"
    outputs = "values"
    main_score = "r2"
    higher_is_better = {  # noqa: RUF012
        "r2": True,
        "mae": False,
        "rmse": False,
        "pearson": True,
        "spearman": True,
    }

    class_scores = {"r2": True, "mae": False, "rmse": False}  # noqa: RUF012

    criterion: str = "mse"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.criterion not in LOSSES:
            raise RecipeError(
                f"data.task: no criterion {self.criterion!r}: {suggest(self.criterion, LOSSES)}"
            )
        if (self.mean is None) != (self.std is None):
            raise RecipeError("data.task: mean and std stand together; give both, or neither")
        mean, std = self.mean or (), self.std or ()
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise RecipeError(
                f"data.task: mean is {list(mean)} and std {list(std)}; expected a mean and a std "
                "above 0 for each target"
            )

    def fitted(self, labels: Labels) -> Regression:
        """The same with mean and standard deviation of the training labels, unless it has them."""
        if labels.values is None or self.mean is not None:
            return self
        values = masked(labels)
        mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        return replace(self, mean=tuple(map(significant, mean)), std=tuple(map(significant, std)))

    def with_label_smoothing(self, share: float) -> Regression:
        """Refused: there are no classes.

        Raises:
            RecipeError: the share is not 0.
        """
        if share:
            raise RecipeError(
                f"train.label_smoothing is {share}, which softens class labels, and the task is "
                "regression; leave it out"
            )
        return self

    def read_labels(
        self,
        values: Any,
        *,
        names: tuple[str, ...] | None = None,
        classes: tuple[str, ...] | None = None,
        sets: bool = False,
    ) -> Labels:
        """Numbers, or rows of numbers; a missing one of several is unknown."""
        table, mask = real_values(values)
        k = table.shape[1]
        targets = classes or (("target",) if k == 1 else tuple(f"target {i}" for i in range(k)))
        if len(targets) != k:
            raise DataError(
                f"{len(targets)} names ({', '.join(targets)}) for {k} targets; name one for each, "
                "or leave `classes` out"
            )
        if self.mean is not None and len(self.mean) != k:
            raise DataError(f"the mean of {len(self.mean)} targets was given, and there are {k}")
        return Labels(table, mask, targets, self)

    def check_training_labels(self, labels: Labels, name: str) -> None:
        """Every target needs two different values."""
        if labels.values is None:
            return
        values = masked(labels)
        for c, target in enumerate(labels.classes or ()):
            known = values[~np.isnan(values[:, c]), c]
            if len(np.unique(known)) < 2:
                what = f"is {known[0]:g} in all" if len(known) else "is unknown in all"
                raise DataError(
                    f"{target!r} {what} {len(labels.values)} examples of {name}, so there is "
                    "nothing to learn; leave this target out, or give other examples"
                )

    def strata(self, labels: npt.NDArray[Any]) -> Integers:
        """Tenths of the examples by the size of their first target."""
        bins = max(1, min(BINS, len(labels) // 2))
        first = labels[:, 0].astype(np.float64)
        edges = np.quantile(first, np.arange(1, bins) / bins)
        return np.searchsorted(edges, first, side="right").astype(np.int64)

    def least_examples(self, k: int) -> int:
        """As many as there are groups."""
        return BINS

    def targets(self, labels: Tensor) -> Tensor:
        """Standardized."""
        if self.mean is None or self.std is None:
            return labels
        return (labels - constants(self.mean, labels)) / constants(self.std, labels)

    def values(self, outputs: Tensor) -> Tensor:
        """Outputs in the units of the labels."""
        if self.mean is None or self.std is None:
            return outputs
        return outputs * constants(self.std, outputs) + constants(self.mean, outputs)

    def loss(
        self,
        outputs: Float[Tensor, "b k"],
        labels: Float[Tensor, "b k"],
        mask: Bool[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, " b"]:
        r"""The mean over an example's known targets.

        .. math:: \ell_i = \frac{1}{\sum_c m_{ic}} \sum_c m_{ic} \, d(o_{ic} - z_{ic}), \quad
                  d(e) = e^2, \; |e| \text{ or } \min(e^2/2, |e| - 1/2)

        Example:
            >>> import torch
            >>> two = Regression(mean=(10.0,), std=(2.0,))
            >>> two.loss(torch.tensor([[1.0]]), torch.tensor([[14.0]])).item()
            1.0
        """
        each = LOSSES[self.criterion](outputs, self.targets(labels), reduction="none")
        return mean_of_known(each, mask)

    def scores(
        self,
        outputs: Float[Tensor, "n k"],
        labels: Tensor,
        mask: Tensor | None = None,
        *,
        threshold: float = 0.5,
    ) -> dict[str, float]:
        """`r2`, `mae`, `rmse`, `pearson`, `spearman`, means over the targets."""
        return regression_scores(self.values(outputs.double()), labels, mask)

    def scores_by_class(
        self, outputs: Tensor, labels: Tensor, mask: Tensor | None = None, threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """`examples`, `r2`, `mae`, `rmse`, `pearson`, `spearman` of each target."""
        return target_scores(self.values(outputs.double()), labels, mask)

    def near_chance(self, scores: Mapping[str, float], k: int) -> bool:
        """Hardly better than the mean."""
        return scores["r2"] < 0.1

    def predictions(self, outputs: Tensor) -> dict[str, npt.NDArray[Any]] | None:
        """`values`, `[n, k]`, in the units of the labels."""
        return {"values": self.values(outputs.double()).float().numpy()}

    def outputs_of_neighbors(self, averages: Tensor) -> Tensor:
        """Standardized."""
        return self.targets(averages)

    def linear_probe(
        self, train: Labeled, *, k: int, validation: tuple[Labeled, Labeled] | None = None
    ) -> LinearLayer:
        """Ridge regression; the penalty of the best R²."""
        pair = validation and (self._standardized(validation[0]), self._standardized(validation[1]))
        return linear_probe(self._standardized(train), k, ridge_regressions, r2, validation=pair)

    def _standardized(self, labeled: Labeled) -> Labeled:
        return replace(labeled, labels=self.targets(labeled.labels))


def r2(outputs: Tensor, labeled: Labeled) -> float:
    """R² of standardized outputs: the same in any units."""
    return regression_scores(outputs.double(), labeled.labels, labeled.mask)["r2"]


def masked(labels: Labels) -> npt.NDArray[np.float64]:
    """`[n, k]`, NaN where a target is unknown."""
    values = np.asarray(labels.values, np.float64)
    return values if labels.mask is None else np.where(labels.mask, values, np.nan)


def significant(value: float) -> float:
    """A number as a recipe says it, with 8 digits."""
    return float(f"{value:.8g}")
