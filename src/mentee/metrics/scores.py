"""Scores of predictions, by torchmetrics and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mentee.errors import DataError


def classification_scores(
    logits: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]
) -> dict[str, float]:
    """Scores of one class an example.

    Args:
        logits: `[n, k]`.
        labels: class numbers `[n]`.

    Returns:
        `accuracy`, `top5` (more than five classes), `loss` (cross-entropy), `ece` (expected
        calibration error, 15 bins), all in [0, 1] but the loss.

    Raises:
        DataError: there is nothing to score.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
        >>> round(classification_scores(logits, torch.tensor([0, 1, 1]))["accuracy"], 4)
        0.6667
    """
    from torchmetrics.functional import classification as metrics

    refuse_nothing(logits)
    logits, k = logits.float(), logits.shape[1]
    scores = {
        "accuracy": metrics.multiclass_accuracy(logits, labels, k, average="micro"),
        "loss": torch.nn.functional.cross_entropy(logits, labels),
        "ece": metrics.multiclass_calibration_error(logits.softmax(1), labels, k, n_bins=15),
    }
    if k > 5:
        scores["top5"] = metrics.multiclass_accuracy(logits, labels, k, average="micro", top_k=5)
    return {name: float(value) for name, value in scores.items()}


def multilabel_scores(
    logits: Float[Tensor, "n k"],
    labels: Float[Tensor, "n k"],
    mask: Bool[Tensor, "n k"] | None = None,
    *,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Scores of several classes an example.

    Args:
        logits: `[n, k]`.
        labels: 0/1 `[n, k]`.
        mask: `[n, k]`, true where a label is known.
        threshold: a probability above it counts as yes; in (0, 1), for `f1` alone.

    Returns:
        `map` (mean average precision), `auroc`, `f1`, macro averages over the classes with both
        kinds of examples.

    Raises:
        DataError: no class has both positive and negative examples.
    """
    from torchmetrics.functional import classification as metrics

    refuse_nothing(logits)
    logits = logits.float()
    known = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
    positive = ((labels == 1) & known).any(0)
    both = positive & ((labels == 0) & known).any(0)
    if not both.any():
        raise DataError("no class has both positive and negative examples; there is no score")
    target = torch.where(known, labels.long(), -1)[:, both]
    probability, k = logits.sigmoid()[:, both], int(both.sum())
    options: dict[str, Any] = {"num_labels": k, "ignore_index": -1, "average": "macro"}
    if k == 1:  # torchmetrics wants two labels at least
        keep = target[:, 0] >= 0
        pair = (probability[keep, 0], target[keep, 0])
        scores = {
            "map": metrics.binary_average_precision(*pair),
            "auroc": metrics.binary_auroc(*pair),
            "f1": metrics.binary_f1_score(*pair, threshold=threshold),
        }
    else:
        scores = {
            "map": metrics.multilabel_average_precision(probability, target, **options),
            "auroc": metrics.multilabel_auroc(probability, target, **options),
            "f1": metrics.multilabel_f1_score(probability, target, threshold=threshold, **options),
        }
    return {name: float(value) for name, value in scores.items()}


def regression_scores(
    predictions: Float[Tensor, "n k"],
    targets: Float[Tensor, "n k"],
    mask: Bool[Tensor, "n k"] | None = None,
) -> dict[str, float]:
    r"""Scores of real values, each the mean over the targets of which two known values differ.

    .. math::
        R^2 = 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}, \quad
        MAE = \frac1n \sum_i |y_i - \hat y_i|, \quad
        RMSE = \sqrt{\frac1n \sum_i (y_i - \hat y_i)^2}

    Args:
        predictions: `[n, k]`, in the units of the targets.
        targets: `[n, k]`.
        mask: `[n, k]`, true where a target is known; None: all are.

    Returns:
        `r2` (at most 1; 0: as good as the mean), `mae`, `rmse` (in the targets' units), and
        `pearson` and `spearman`, correlations in [-1, 1], where a prediction varies.

    Raises:
        DataError: there is no example, or no target with two different known values.

    Memory: O(n k), in float64.

    Example:
        >>> y = torch.tensor([[1.0], [2.0], [3.0]])
        >>> scores = regression_scores(y + 1, y)
        >>> scores["r2"], scores["mae"], round(scores["pearson"], 6)
        (-0.5, 1.0, 1.0)
    """
    from scipy import stats

    refuse_nothing(predictions)
    p, y = predictions.double().numpy(), targets.double().numpy()
    known = np.ones(y.shape, np.bool_) if mask is None else mask.numpy()
    columns: dict[str, list[float]] = {"r2": [], "mae": [], "rmse": []}
    for c in range(y.shape[1]):
        rows = known[:, c]
        if len(np.unique(y[rows, c])) < 2:
            continue
        error, spread = p[rows, c] - y[rows, c], y[rows, c] - y[rows, c].mean()
        columns["r2"].append(1 - float((error**2).sum() / (spread**2).sum()))
        columns["mae"].append(float(np.abs(error).mean()))
        columns["rmse"].append(float((error**2).mean() ** 0.5))
        if np.ptp(p[rows, c]) > 1e-12 * np.abs(p[rows, c]).max():  # else there is no correlation
            pair = p[rows, c], y[rows, c]
            columns.setdefault("pearson", []).append(float(stats.pearsonr(*pair)[0]))
            columns.setdefault("spearman", []).append(float(stats.spearmanr(*pair)[0]))
    if not columns["r2"]:
        raise DataError("no target has two different known values; there is no score")
    return {name: sum(each) / len(each) for name, each in columns.items()}


def refuse_nothing(outputs: Tensor) -> None:
    """Refuse to score no examples.

    Raises:
        DataError: there are none.
    """
    if len(outputs) == 0:
        raise DataError("there are no examples to score")
