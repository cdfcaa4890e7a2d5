"""Scores of predictions, by torchmetrics."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mentee.errors import DataError


def main_score(task: str) -> str | None:
    """The score that chooses: `accuracy` for one class, `map` for several, None without labels."""
    return {"single": "accuracy", "multi": "map"}.get(task)


def scores(
    logits: Float[Tensor, "n k"],
    labels: Tensor,
    mask: Bool[Tensor, "n k"] | None = None,
    *,
    threshold: float = 0.5,
) -> dict[str, float]:
    """All scores of a set of predictions.

    Args:
        logits: `[n, k]`.
        labels: class numbers `[n]`, or 0/1 `[n, k]`.
        mask: `[n, k]`, true where a label of several is known.
        threshold: of several classes: a chance above it says yes; in (0, 1), for `f1` alone.

    Returns:
        One class an example: `accuracy`, `top5` (more than five classes), `loss` (cross-entropy),
        `ece` (expected calibration error, 15 bins), all in [0, 1] but the loss.
        MultiRecipe: `map` (mean average precision), `auroc`, `f1`, macro averages over the classes
        with both kinds of examples.

    Raises:
        DataError: there is nothing to score.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
        >>> round(scores(logits, torch.tensor([0, 1, 1]))["accuracy"], 4)
        0.6667
    """
    if len(logits) == 0:
        raise DataError("there are no examples to score")
    logits = logits.float()
    if labels.ndim == 1:
        return _of_one(logits, labels)
    return _of_several(logits, labels, mask, threshold)


def _of_one(logits: Tensor, labels: Tensor) -> dict[str, float]:
    from torchmetrics.functional import classification as metrics

    k = logits.shape[1]
    found = {
        "accuracy": metrics.multiclass_accuracy(logits, labels, k, average="micro"),
        "loss": torch.nn.functional.cross_entropy(logits, labels),
        "ece": metrics.multiclass_calibration_error(logits.softmax(1), labels, k, n_bins=15),
    }
    if k > 5:
        found["top5"] = metrics.multiclass_accuracy(logits, labels, k, average="micro", top_k=5)
    return {name: float(value) for name, value in found.items()}


def _of_several(
    logits: Tensor, labels: Tensor, mask: Tensor | None, threshold: float
) -> dict[str, float]:
    from torchmetrics.functional import classification as metrics

    known = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
    positive = ((labels == 1) & known).any(0)
    both = positive & ((labels == 0) & known).any(0)
    if not both.any():
        raise DataError("no class has both positive and negative examples; there is no score")
    target = torch.where(known, labels.long(), -1)[:, both]
    chance, k = logits.sigmoid()[:, both], int(both.sum())
    options: dict[str, Any] = {"num_labels": k, "ignore_index": -1, "average": "macro"}
    if k == 1:  # torchmetrics wants two labels at least
        keep = target[:, 0] >= 0
        pair = (chance[keep, 0], target[keep, 0])
        found = {
            "map": metrics.binary_average_precision(*pair),
            "auroc": metrics.binary_auroc(*pair),
            "f1": metrics.binary_f1_score(*pair, threshold=threshold),
        }
    else:
        found = {
            "map": metrics.multilabel_average_precision(chance, target, **options),
            "auroc": metrics.multilabel_auroc(chance, target, **options),
            "f1": metrics.multilabel_f1_score(chance, target, threshold=threshold, **options),
        }
    return {name: float(value) for name, value in found.items()}
