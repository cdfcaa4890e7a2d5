"""The jackknife over groups of examples: the standard error of a difference of two scores."""

from __future__ import annotations

import math
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


def jackknife_interval(left_out: Sequence[float], value: float) -> tuple[float, float]:
    r"""The 95 % interval of a score, from its values without each group of examples.

    .. math:: \theta \pm t_{0.975; G-1} \, s, \quad
              s^2 = \frac{G - 1}{G} \sum_g (\theta_g - \bar\theta)^2

    Args:
        left_out: of `scores_without_groups`, two at least.
        value: of all examples.

    Returns:
        (low, high).

    Source: as `score_gain`.

    Example:
        >>> low, high = jackknife_interval([0.5, 0.7, 0.6], 0.6)
        >>> round(low, 4), round(high, 4)
        (0.1032, 1.0968)
    """
    from scipy import stats

    values, count = np.asarray(left_out, np.float64), len(left_out)
    error = float(((count - 1) / count * np.square(values - values.mean()).sum()) ** 0.5)
    half = float(stats.t.ppf(0.975, count - 1)) * error
    return value - half, value + half


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    r"""The 95 % interval of a share of n independent examples (Wilson 1927).

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n},
              \quad z = 1.96

    Example:
        >>> low, high = wilson_interval(0.9, 100)
        >>> round(low, 4), round(high, 4)
        (0.8256, 0.9448)
    """
    z = 1.959964
    middle, width = share + z * z / (2 * n), (share * (1 - share) / n + (z / (2 * n)) ** 2) ** 0.5
    return (middle - z * width) / (1 + z * z / n), (middle + z * width) / (1 + z * z / n)


def mean_interval(scores: Sequence[float]) -> tuple[float, float | None, float | None]:
    """(mean, sample deviation, half of the 95 % interval of the mean) of one row.

    Example:
        >>> mean, deviation, half = mean_interval([1.0, 2.0, 3.0])
        >>> mean, deviation, round(half, 4)
        (2.0, 1.0, 2.4841)
    """
    from scipy import stats

    n, mean = len(scores), float(np.mean(scores))
    if n < 2:
        return mean, None, None
    deviation = float(np.std(scores, ddof=1))
    return mean, deviation, float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
