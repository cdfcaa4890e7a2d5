"""Scores of predictions; of rankings by scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mentee.errors import DataError
from mentee.metrics.calibration import calibration_error, reliability

TARGET_SCORES = ("r2", "mae", "rmse", "pearson", "spearman")


def classification_scores(
    logits: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]
) -> dict[str, float]:
    """Scores of one class an example.

    Args:
        logits: `[n, k]`.
        labels: class numbers `[n]`.

    Returns:
        `accuracy`, `balanced_accuracy` (the mean recall of the classes), `macro_f1`, `top5` (more
        than five classes), `loss` (cross-entropy), `ece` (expected calibration error, 15 bins),
        all in [0, 1] but the loss.

    Raises:
        DataError: there is nothing to score.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
        >>> round(classification_scores(logits, torch.tensor([0, 1, 1]))["accuracy"], 4)
        0.6667
    """
    refuse_nothing(logits)
    logits = logits.float()
    classes = class_scores(logits, labels)
    right = logits.argmax(1) == labels
    scores: dict[str, Any] = {
        "accuracy": right.float().mean(),
        "balanced_accuracy": mean_of(each["recall"] for each in classes),
        "macro_f1": mean_of(each["f1"] for each in classes),
        "loss": torch.nn.functional.cross_entropy(logits, labels),
        "ece": calibration_error(reliability(logits.softmax(1).amax(1), right)),
    }
    if logits.shape[1] > 5:
        scores["top5"] = (logits.topk(5).indices == labels[:, None]).any(1).float().mean()
    return {name: float(value) for name, value in scores.items()}


def class_scores(logits: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> list[dict[str, Any]]:
    r"""Scores of each class, of one class an example.

    .. math:: recall_c = \frac{TP_c}{TP_c + FN_c}, \quad precision_c = \frac{TP_c}{TP_c + FP_c},
              \quad F_{1,c} = \frac{2 TP_c}{2 TP_c + FP_c + FN_c}

    Args:
        logits: `[n, k]`.
        labels: class numbers `[n]`.

    Returns:
        For each class `examples`, `predicted` (how often), `recall`, `precision` and `f1`; None
        where nothing is counted: the recall of a class without examples.

    Memory: O(k).

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
        >>> class_scores(logits, torch.tensor([0, 1, 1]))[1]
        {'examples': 2, 'predicted': 1, 'recall': 0.5, 'precision': 1.0, 'f1': 0.6666666666666666}
    """
    predicted, k = logits.argmax(1), logits.shape[1]
    right = torch.bincount(labels[predicted == labels], minlength=k).tolist()
    examples = torch.bincount(labels, minlength=k).tolist()
    times = torch.bincount(predicted, minlength=k).tolist()
    return [
        {
            "examples": n,
            "predicted": m,
            "recall": tp / n if n else None,
            "precision": tp / m if m else None,
            "f1": 2 * tp / (n + m) if n + m else None,
        }
        for tp, n, m in zip(right, examples, times, strict=True)
    ]


def confusion(logits: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> Int64[Tensor, "k k"]:
    """How many examples of each class (rows) are predicted as each class (columns).

    Memory: O(k²).

    Example:
        >>> confusion(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])).tolist()
        [[1, 0], [1, 0]]
    """
    k = logits.shape[1]
    return torch.bincount(labels * k + logits.argmax(1), minlength=k * k).reshape(k, k)


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
    names = {"map": "average_precision", "auroc": "auroc", "f1": "f1"}
    labels_scores = label_scores(logits, labels, mask, threshold=threshold)
    scored = [each for each in labels_scores if each["average_precision"] is not None]
    if not scored:
        raise DataError("no class has both positive and negative examples; there is no score")
    return {name: mean_of(each[of] for each in scored) for name, of in names.items()}


def label_scores(
    logits: Float[Tensor, "n k"],
    labels: Float[Tensor, "n k"],
    mask: Bool[Tensor, "n k"] | None = None,
    *,
    threshold: float = 0.5,
) -> list[dict[str, Any]]:
    """Scores of each class, of several classes an example; the arguments are `multilabel_scores`'.

    Returns:
        For each class `examples` (whose label is known), `positive` (of these), `predicted` (how
        many are predicted as positive), and `average_precision`, `auroc` and `f1`, None where it
        lacks positive or negative examples.

    Raises:
        DataError: there is nothing to score.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    refuse_nothing(logits)
    known = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
    probability = logits.float().sigmoid()
    result: list[dict[str, Any]] = []
    for c in range(logits.shape[1]):
        chances, target = probability[known[:, c], c], labels[known[:, c], c].long()
        entry: dict[str, Any] = {
            "examples": len(target),
            "positive": int(target.sum()),
            "predicted": int((chances > threshold).sum()),
        }
        scores: dict[str, float | None] = dict.fromkeys(("average_precision", "auroc", "f1"))
        if 0 < target.sum() < len(target):
            both = int(target[chances > threshold].sum())
            scores = {
                "average_precision": float(average_precision_score(target, chances)),
                "auroc": float(roc_auc_score(target, chances)),
                "f1": 2 * both / (entry["positive"] + entry["predicted"]),
            }
        result.append(entry | scores)
    return result


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
    columns = target_scores(predictions, targets, mask)
    if all(each["r2"] is None for each in columns):
        raise DataError("no target has two different known values; there is no score")
    scores = {
        name: [each[name] for each in columns if each[name] is not None] for name in TARGET_SCORES
    }
    return {name: mean_of(each) for name, each in scores.items() if each}


def target_scores(
    predictions: Float[Tensor, "n k"],
    targets: Float[Tensor, "n k"],
    mask: Bool[Tensor, "n k"] | None = None,
) -> list[dict[str, Any]]:
    """Scores of each target; the arguments are those of `regression_scores`.

    Returns:
        For each target `examples` (whose value is known), and the scores; None where it has no two
        different values, or a correlation with a constant prediction.

    Raises:
        DataError: there is no example.
    """
    from scipy import stats

    refuse_nothing(predictions)
    p, y = predictions.double().numpy(), targets.double().numpy()
    known = np.ones(y.shape, np.bool_) if mask is None else mask.numpy()
    result: list[dict[str, Any]] = []
    for c in range(y.shape[1]):
        own, true = p[known[:, c], c], y[known[:, c], c]
        scores: dict[str, float | None] = dict.fromkeys(
            ("r2", "mae", "rmse", "pearson", "spearman")
        )
        if len(np.unique(true)) > 1:
            error, spread = own - true, true - true.mean()
            scores["r2"] = 1 - float((error**2).sum() / (spread**2).sum())
            scores["mae"] = float(np.abs(error).mean())
            scores["rmse"] = float((error**2).mean() ** 0.5)
            if np.ptp(own) > 1e-12 * np.abs(own).max():  # else there is no correlation
                scores["pearson"] = float(stats.pearsonr(own, true)[0])
                scores["spearman"] = float(stats.spearmanr(own, true)[0])
        result.append({"examples": len(true), **scores})
    return result


def mean_of(values: Iterable[float | None]) -> float:
    """The mean of those that are there."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def refuse_nothing(outputs: Tensor) -> None:
    """Refuse to score no examples.

    Raises:
        DataError: there are none.
    """
    if len(outputs) == 0:
        raise DataError("there are no examples to score")
