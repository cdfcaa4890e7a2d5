"""How sure a network is against how often it is right."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def reliability(
    confidence: Float[Tensor, " n"], right: Bool[Tensor, " n"], bins: int = 15
) -> list[dict[str, float]]:
    """The bins of a reliability diagram, of equal width, that have examples.

    Args:
        confidence: of each prediction, in [0, 1].
        right: whether it is right.
        bins: how many there are; a bin holds its upper end.

    Returns:
        For each bin its ends `low` and `high`, `examples`, the mean `confidence` and the share that
        is right, `accuracy`.

    Source: Guo et al. 2017, arXiv:1706.04599.

    Example:
        >>> import torch
        >>> sure = torch.tensor([0.75, 1.0, 0.25])
        >>> reliability(sure, torch.tensor([True, False, False]), bins=2)[1]
        {'low': 0.5, 'high': 1.0, 'examples': 2, 'confidence': 0.875, 'accuracy': 0.5}
    """
    number = (confidence * bins).ceil().long().clamp(1, bins) - 1
    result = []
    for i in torch.unique(number).tolist():
        inside = number == i
        result.append(
            {
                "low": i / bins,
                "high": (i + 1) / bins,
                "examples": int(inside.sum()),
                "confidence": float(confidence[inside].double().mean()),
                "accuracy": float(right[inside].double().mean()),
            }
        )
    return result


def calibration_error(bins: list[dict[str, float]]) -> float:
    r"""The expected calibration error of the bins of `reliability`, in [0, 1].

    .. math:: ECE = \sum_b \frac{n_b}{n} \, \lvert accuracy_b - confidence_b \rvert

    Source: Guo et al. 2017, arXiv:1706.04599.

    Example:
        >>> calibration_error([{"confidence": 0.875, "accuracy": 0.5, "examples": 2}])
        0.375
    """
    gaps = (each["examples"] * abs(each["accuracy"] - each["confidence"]) for each in bins)
    return sum(gaps) / sum(each["examples"] for each in bins)
