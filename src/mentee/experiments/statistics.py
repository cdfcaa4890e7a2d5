"""Rows × seeds of scores: which differences are more than chance. Arrays in, numbers out.

Seeds are blocks: the effect that all rows of a seed share (the order of the data, the first
weights) is subtracted, and the residuals are pooled over the rows.

Shapes: `[r s]`, rows × seeds; NaN where a run is missing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Scores: TypeAlias = npt.NDArray[np.float64]
Verdict: TypeAlias = Literal["HELPS", "HURTS", "INCONCLUSIVE"]
LEVEL = 0.05
JUDGED = 0.04
"""The level of a verdict. With 0.05, one row that varies more than the others
would raise the chance of a false verdict in a table from 5 to 6 % (simulated)."""


@dataclass(frozen=True)
class Noise:
    """How far scores vary when neither row nor seed changes.

    Attributes:
        variance: σ² of one score; None: not known.
        freedom: its degrees of freedom.
        steady: `[r]` rows whose spread is that of the others; the rest is not pooled.
    """

    variance: float | None
    freedom: int
    steady: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """A row's score minus another's, paired by seed.

    Attributes:
        seeds: that both rows have.
        mean: of the differences; None: they have no seed in common.
        low: of the 95 % interval; None: not known.
        high: the same.
        p: two-sided, with the pooled variance where that is the larger one.
        own_p: of the plain paired t-test of these two rows alone.
        error: of the mean, from the larger variance; `own_error`: from these two rows alone.
        freedom: degrees of freedom of `error`.
    """

    seeds: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    own_p: float | None = None
    error: float | None = None
    own_error: float | None = None
    freedom: int | None = None


def noise(scores: Scores) -> Noise:
    r"""The pooled residual variance of rows + seeds.

    .. math::
        y_{rs} = \mu + \rho_r + \beta_s + \varepsilon_{rs}, \qquad
        \hat\sigma^2 = \frac{\sum_{rs} e_{rs}^2}{(R-1)(S-1)}, \quad
        e_{rs} = y_{rs} - \bar y_{r\cdot} - \bar y_{\cdot s} + \bar y_{\cdot\cdot}

    A row that varies far more than the others would hide their differences. So the row with the
    largest spread leaves the pool while an F test says that it does not belong there, at 5 % over
    all rows together, and at most half of the rows.

    Args:
        scores: `[r s]`; where some are missing, rows and seeds are fitted by least squares.

    Example:
        >>> result = noise(np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.5], [3.0, 4.5, 5.0]]))
        >>> round(result.variance, 4), result.freedom
        (0.0694, 4)
    """
    from scipy import special

    steady = np.ones(len(scores), np.bool_)
    seeds = (~np.isnan(scores)).sum(1)
    spread = int((seeds > 1).sum())  # rows that have a spread
    while True:
        squares, freedom = residuals(np.where(steady[:, None], scores, np.nan))
        total = float(squares.sum())
        pool = spread - int((~steady).sum())
        if 2 * (pool - 1) <= spread or freedom == 0:
            break
        worst = int(np.argmax(squares / np.maximum(seeds - 1, 1)))
        others = steady.copy()
        others[worst] = False
        rest, left = residuals(np.where(others[:, None], scores, np.nan))
        less = float(rest.sum())
        if left == 0 or left == freedom:
            break
        # What the row adds to the sum of squares is independent of the rest.
        ratio = (total - less) / (freedom - left) / (less / left) if less > 0 else math.inf
        if total == 0 or special.fdtrc(freedom - left, left, ratio) * pool >= LEVEL:
            break
        steady = others
    return Noise(total / freedom if freedom else None, freedom, steady)


def residuals(scores: Scores) -> tuple[Scores, int]:
    """(sum of squares of each row `[r]`, degrees of freedom) of the residuals of rows + seeds."""
    there = (~np.isnan(scores)).astype(np.float64)
    count = np.maximum(there.sum(1, keepdims=True), 1.0)

    def centered(values: Scores) -> Scores:
        """Without the mean of each row, over the runs that are there."""
        result: Scores = there * (values - (there * values).sum(1, keepdims=True) / count)
        return result

    left = centered(np.where(there > 0, scores, 0.0))
    # Normal equations of the seeds, the rows taken out: Σ_r diag(w_r) − w_r w_rᵀ / n_r.
    normal = np.diag(there.sum(0)) - there.T @ (there / count)
    seeds, _, rank, _ = np.linalg.lstsq(normal, left.sum(0), rcond=1e-9)
    left = left - centered(np.broadcast_to(seeds, scores.shape))
    left[np.abs(left) < 1e-12 * np.nanmax(np.abs(scores), initial=0.0)] = 0.0  # rounding
    freedom = int(there.sum()) - int((there.sum(1) > 0).sum()) - int(rank)
    return (left**2).sum(1), freedom


def difference(scores: Scores, row: int, other: int, pooled: Noise, *, rows: int = 2) -> Difference:
    r"""A row minus another over the seeds that both have.

    .. math::
        \bar d \pm \frac{q_{0.95;\,R,\,\nu}}{\sqrt2} \sqrt{v / S}, \qquad
        v = \max\Bigl(2\hat\sigma^2, \frac{\sum_s (d_s - \bar d)^2}{S-1}\Bigr)

    Both differences of two rows share σ², so that of a difference is 2σ². ν are the degrees of
    freedom of the pool, or S − 1 where one of the rows is not in it. R is from how many rows the
    pair was chosen by its scores (Tukey's studentized range); 2: it was not, and the interval is
    Student's t.
    """
    each = scores[row] - scores[other]
    each = each[~np.isnan(each)]
    count = len(each)
    if count == 0:
        return Difference(0)
    mean = float(each.mean())
    if count == 1:
        return Difference(1, mean)
    own = float(each.var(ddof=1))
    belongs = pooled.variance is not None and pooled.steady[row] and pooled.steady[other]
    freedom = pooled.freedom if belongs else count - 1
    variance = max(own, 2 * (pooled.variance or 0.0))
    error = math.sqrt(variance / count)
    half = quantile(rows, freedom) * error
    own_error = math.sqrt(own / count)
    alone = two_sided(mean, own_error, count - 1)
    p = two_sided(mean, error, freedom)
    ends = mean - half, mean + half
    return Difference(count, mean, *ends, p, alone, error, own_error, freedom)


def two_sided(mean: float, error: float, freedom: int) -> float:
    """How likely a mean as far from 0 is by chance, by Student's t."""
    from scipy import special

    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(freedom, -abs(mean) / error))


@functools.lru_cache(maxsize=256)
def quantile(rows: int, freedom: int) -> float:
    """Errors of a difference in half a 95 % interval, for the widest of all pairs of rows.

    Example:
        >>> round(quantile(2, 10), 4), round(quantile(3, 10), 4)
        (2.2281, 2.7413)
    """
    from scipy import stats

    if rows <= 2:  # the range of two is their difference
        return float(stats.t.ppf(1 - LEVEL / 2, freedom))
    return float(stats.studentized_range.ppf(1 - LEVEL, rows, freedom)) / math.sqrt(2)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    r"""p-values corrected for the number of comparisons (Holm 1979).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) p_{(j)})

    Args:
        ps: in [0, 1]; None where nothing was compared.

    Example:
        >>> holm([0.25, None, 0.125])
        [0.25, None, 0.25]
    """
    ordered = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, i) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p))
        corrected[i] = largest
    return corrected


def verdict(
    difference: Difference, corrected: float | None, *, higher: bool = True
) -> Verdict | None:
    """Whether a row is better or worse than another; None: unknown with one seed.

    Chance must be unlikely twice: over all rows together, with the variance of all (`corrected`, of
    `holm`), and for the row alone, by its own seeds (`own_p`). The second guards against a row that
    varies more than the others without having shown it.
    """
    if difference.mean is None or corrected is None or difference.own_p is None:
        return None
    if corrected > JUDGED or difference.own_p > JUDGED:
        return "INCONCLUSIVE"
    return "HELPS" if (difference.mean > 0) == higher else "HURTS"


def judged_interval(difference: Difference, corrected: float | None) -> tuple[float, float] | None:
    r"""The interval that leaves out 0 exactly where `verdict` says HELPS or HURTS; None: one seed.

    The wider one of two, at the level of a verdict, :math:`\alpha = 0.04`: that of the two rows
    alone, and that of the larger variance at :math:`\alpha \, p / \tilde p`, so that it is as much
    wider as Holm's correction raises p to :math:`\tilde p`, `corrected`.
    """
    from scipy import stats

    d = difference
    if None in (d.mean, d.p, corrected, d.error, d.own_error, d.freedom):
        return None
    mean, p, alpha = float(d.mean or 0), float(d.p or 0), JUDGED
    share = p / float(corrected or 1) if p > 0 else 1.0
    half = max(
        float(stats.t.ppf(1 - alpha * share / 2, d.freedom)) * float(d.error or 0),
        float(stats.t.ppf(1 - alpha / 2, d.seeds - 1)) * float(d.own_error or 0),
    )
    return mean - half, mean + half


def seeds_needed(pooled: Noise, difference: float) -> int | None:
    r"""How many seeds it takes until a 95 % interval of two rows is narrower than a difference.

    .. math:: t_{0.975, S - 1} \sqrt{2 \hat\sigma^2 / S} \le d

    At most 1,000; None: the variance is not known.

    Example:
        >>> seeds_needed(Noise(0.0001, 8, np.ones(3, np.bool_)), 0.02)
        5
    """
    from scipy import stats

    if pooled.variance is None:
        return None
    for seeds in range(2, 1000):
        half = float(stats.t.ppf(1 - LEVEL / 2, seeds - 1)) * math.sqrt(2 * pooled.variance / seeds)
        if half <= difference:
            return seeds
    return 1000
