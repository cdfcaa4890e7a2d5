"""The jackknife over groups of examples: the standard error of a difference of two scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

GROUPS = 20


def scores_without_groups(
    score: Callable[[npt.NDArray[np.int64]], float], groups: npt.NDArray[np.int64]
) -> list[float]:
    """A score without each group of examples in turn.

    Args:
        score: row numbers to the score of these examples.
        groups: `[n]`, of each example, whole numbers.

    Returns:
        One number for each group that has an example.

    Example:
        >>> values = np.array([0.0, 1.0, 1.0, 1.0])
        >>> scores_without_groups(lambda rows: float(values[rows].mean()), np.array([0, 0, 1, 1]))
        [1.0, 0.5]
    """
    return [score(np.flatnonzero(groups != group)) for group in np.unique(groups)]


def score_gain(now: Sequence[float], before: Sequence[float]) -> tuple[float, float]:
    r"""How much a score has grown, and the standard error of that.

    With the differences :math:`D_g` of the scores without group g, of G,

    .. math:: \bar D = \frac1G \sum_g D_g, \quad
              s^2 = \frac{G - 1}{G} \sum_g (D_g - \bar D)^2

    The two are of the same examples, so what these have in common falls out of the difference.

    Args:
        now: of `scores_without_groups`.
        before: the same groups of the same examples, of another network.

    Returns:
        (difference, standard error).

    Source: Tukey's jackknife with groups; Shao and Tu 1995, chapter 2.

    Example:
        >>> score_gain([0.5, 0.7], [0.5, 0.5])
        (0.1, 0.1)
    """
    differences = np.asarray(now, np.float64) - np.asarray(before, np.float64)
    count, mean = len(differences), float(differences.mean())
    squares = float(np.square(differences - mean).sum())
    return round(mean, 12), round(((count - 1) / count * squares) ** 0.5, 12)
