"""Loops, printed tables, other people's tests; and how often chance is taken for a gain."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from mentee.experiments.comparison_notes import examples_needed
from mentee.experiments.statistics import (
    Noise,
    Scores,
    difference,
    holm,
    noise,
    quantile,
    verdict,
)
from mentee.metrics import mean_interval


def table(rows: int, seeds: int, seed: int = 0, sigma: float = 0.5) -> Scores:
    """Rows and seeds of different heights, and chance."""
    rng = np.random.default_rng(seed)
    heights = rng.normal(50, 5, (rows, 1)) + rng.normal(0, 3, (1, seeds))
    return heights + rng.normal(0, sigma, (rows, seeds))


def two_way(y: Scores) -> float:
    """The residual variance of rows + seeds, cell by cell."""
    rows, seeds = y.shape
    grand = sum(y[r, s] for r in range(rows) for s in range(seeds)) / (rows * seeds)
    total = 0.0
    for r in range(rows):
        for s in range(seeds):
            row = sum(y[r, t] for t in range(seeds)) / seeds
            seed = sum(y[q, s] for q in range(rows)) / rows
            total += (y[r, s] - row - seed + grand) ** 2
    return total / ((rows - 1) * (seeds - 1))


@pytest.mark.parametrize(("rows", "seeds"), [(2, 2), (4, 5), (12, 3), (40, 2)])
def test_the_pooled_variance_is_that_of_two_way_anova(rows: int, seeds: int) -> None:
    y = table(rows, seeds, seed=rows)
    found = noise(y)
    assert found.steady.all()
    assert found.freedom == (rows - 1) * (seeds - 1)
    assert found.variance == pytest.approx(two_way(y), rel=1e-9)


def test_with_runs_missing_it_is_that_of_least_squares() -> None:
    """Averages of rows and of seeds in turn, until nothing changes."""
    y = table(6, 4, seed=5)
    y[2, 3] = y[4, 0] = y[5, 1:] = np.nan
    there = [(r, s) for r in range(6) for s in range(4) if y[r, s] == y[r, s]]
    row, seed = dict.fromkeys(range(6), 0.0), dict.fromkeys(range(4), 0.0)
    for _ in range(2000):
        for r in row:
            each = [y[i, s] - seed[s] for i, s in there if i == r]
            row[r] = sum(each) / len(each)
        for s in seed:
            each = [y[r, j] - row[r] for r, j in there if j == s]
            seed[s] = sum(each) / len(each)
    squares = sum((y[r, s] - row[r] - seed[s]) ** 2 for r, s in there)
    found = noise(y)
    assert found.freedom == len(there) - 6 - 4 + 1
    assert found.variance == pytest.approx(squares / found.freedom, rel=1e-9)


def test_of_two_rows_it_is_the_paired_t_test() -> None:
    y = table(2, 6, seed=2)
    found = difference(y, 1, 0, noise(y))
    theirs = stats.ttest_rel(y[1], y[0])
    low, high = theirs.confidence_interval(0.95)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.own_p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_a_difference_has_twice_the_pooled_variance_or_its_own() -> None:
    y = table(8, 3, seed=8)
    pool = noise(y)
    assert pool.variance is not None
    larger = []
    for row in range(1, 8):
        d = [y[row, s] - y[0, s] for s in range(3)]
        mean = sum(d) / 3
        own = sum((each - mean) ** 2 for each in d) / 2
        larger.append(own > 2 * pool.variance)
        error = math.sqrt(max(own, 2 * pool.variance) / 3)
        found = difference(y, row, 0, pool)
        assert found.mean == pytest.approx(mean)
        assert found.p == pytest.approx(2 * stats.t.sf(abs(mean) / error, 14), rel=1e-9)
        assert found.own_p == pytest.approx(stats.ttest_rel(y[row], y[0]).pvalue, rel=1e-9)
        half = stats.t.ppf(0.975, 14) * error
        assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
        wide = difference(y, row, 0, pool, rows=8)
        assert wide.high is not None
        ratio = stats.studentized_range.ppf(0.95, 8, 14) / math.sqrt(2) / stats.t.ppf(0.975, 14)
        assert wide.high - mean == pytest.approx(ratio * half)
    assert 0 < sum(larger) < 7, "both cases are tried"


@pytest.mark.parametrize(
    ("rows", "freedom", "printed"), [(3, 10, 3.88), (5, 20, 4.23), (10, 20, 5.01), (20, 120, 5.13)]
)
def test_the_studentized_range_is_that_of_printed_tables(
    rows: int, freedom: int, printed: float
) -> None:
    assert quantile(rows, freedom) * math.sqrt(2) == pytest.approx(printed, abs=0.006)


def test_holm_is_the_closure_of_bonferroni() -> None:
    """A question is answered once every set of questions with it is, each by Bonferroni."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        ps = (rng.random(5) ** 2).tolist()
        sets = [s for n in range(1, 6) for s in itertools.combinations(range(5), n)]
        closed = [
            max(min(1.0, len(s) * min(ps[j] for j in s)) for s in sets if i in s) for i in range(5)
        ]
        assert holm(ps) == pytest.approx(closed)
        assert holm([None, *ps])[1:] == pytest.approx(closed)


def test_a_wild_row_leaves_the_pool_and_is_judged_by_its_own() -> None:
    y = table(10, 4, seed=2)
    calm = noise(y)
    wild = y.copy()
    wild[4] += [30.0, -25.0, 10.0, -15.0]
    found = noise(wild)
    assert found.steady.tolist() == [row != 4 for row in range(10)]
    assert found.freedom == 8 * 3
    assert found.variance == pytest.approx(two_way(np.delete(wild, 4, 0)), rel=1e-9)
    assert calm.variance is not None
    theirs = stats.ttest_rel(wild[4], wild[0])
    own = difference(wild, 4, 0, found)
    assert (own.p, own.own_p) == pytest.approx((theirs.pvalue, theirs.pvalue))
    # Rows that are not there yet change nothing.
    more = np.concatenate([wild, np.full((40, 4), np.nan)])
    assert (noise(more).variance, noise(more).freedom) == (found.variance, found.freedom)
    # At most half of the rows can leave it.
    torn = table(5, 4, seed=4)
    torn[1:] += np.random.default_rng(0).normal(0, 1, (4, 4)) * [[1e3], [1e6], [1e9], [1e12]]
    assert noise(torn).steady.sum() >= 3


def test_only_common_seeds_are_compared() -> None:
    y = table(5, 3, seed=6)
    y[2, 1] = np.nan
    y[3] = [np.nan, np.nan, 50.0]
    y[4] = np.nan
    pool = noise(y)
    two = difference(y, 2, 0, pool)
    assert (two.seeds, two.mean) == (2, pytest.approx((y[2] - y[0])[[0, 2]].mean()))
    one = difference(y, 3, 0, pool)
    assert (one.seeds, one.mean, one.low) == (1, pytest.approx(50.0 - y[0, 2]), None)
    assert difference(y, 4, 0, pool).mean is None
    assert verdict(one, None) is None


def test_one_seed_has_no_verdict_and_two_have() -> None:
    one = table(4, 1)
    pool = noise(one)
    assert pool == Noise(None, 0, pool.steady)
    assert difference(one, 1, 0, pool).p is None
    two = table(30, 2, sigma=0.01)
    two[1] = two[0] + [20.0, 20.05]
    found = difference(two, 1, 0, noise(two))
    assert verdict(found, found.p) == "HELPS"
    assert verdict(difference(two, 0, 1, noise(two)), found.p) == "HURTS"


def test_rows_that_are_equal_to_the_last_bit() -> None:
    y = np.repeat([[0.125, 0.75, 0.5]], 4, axis=0)
    y[3] += 0.25
    pool = noise(y)
    assert pool.variance == 0
    assert (difference(y, 1, 0, pool).p, difference(y, 3, 0, pool).p) == (1.0, 0.0)


def test_the_spread_of_a_row_is_scipys() -> None:
    values = [0.3, 0.5, 0.9, 0.4]
    mean, deviation, half = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert deviation == pytest.approx(stats.tstd(values))
    assert half is not None
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert mean_interval([0.5]) == (0.5, None, None)


# --- how often chance is taken for a gain, and a gain for chance -------------------------------


def verdicts(y: Scores) -> list[str | None]:
    pool = noise(y)
    found = [difference(y, row, 0, pool) for row in range(1, len(y))]
    corrected = holm([each.p for each in found])
    return [verdict(each, p) for each, p in zip(found, corrected, strict=True)]


def simulated(
    times: int, rows: int, seeds: int, *, wild: float = 1.0, gain: float = 0.0
) -> tuple[float, float]:
    """(share of tables with a false verdict, share in which the gain of row 2 was seen).

    Args:
        wild: how many times the deviation of the others row 1 has.
        gain: of row 2, in standard errors of a difference.
    """
    rng = np.random.default_rng(rows + 100 * seeds)
    false = seen = 0
    for _ in range(times):
        y = rng.normal(size=(rows, seeds))
        y[1] *= wild
        y += rng.normal(0, 3, (1, seeds))
        y[2] += gain * math.sqrt(2 / seeds)
        said = verdicts(y)
        seen += said[1] == "HELPS"
        false += any(v != "INCONCLUSIVE" for i, v in enumerate(said) if not (gain and i == 1))
    return false / times, seen / times


TIMES = 500
MARGIN = 3 * math.sqrt(0.05 * 0.95 / TIMES)


@pytest.mark.parametrize(
    ("rows", "seeds", "wild"),
    [(5, 3, 7.0), (16, 3, 1.0), (16, 3, 4.5), (16, 2, 10.0), (8, 5, 4.5)],
)
def test_chance_is_seldom_taken_for_a_gain(rows: int, seeds: int, wild: float) -> None:
    false, _ = simulated(TIMES, rows, seeds, wild=wild)
    assert false <= 0.05 + MARGIN


def test_a_gain_is_seen_that_a_paired_test_of_each_row_alone_would_miss() -> None:
    rows, seeds = 30, 3
    _, seen = simulated(200, rows, seeds, gain=7.0)
    assert seen > 0.75
    _, seen = simulated(200, rows, seeds, gain=7.0, wild=30.0)
    assert seen > 0.75, "a wild row does not hide it"
    # By itself, with Bonferroni: two degrees of freedom.
    rng = np.random.default_rng(0)
    d = rng.normal(size=(2000, seeds)) + 7.0 / math.sqrt(seeds)
    p = stats.ttest_1samp(d, 0, axis=1).pvalue
    assert (p < 0.05 / (rows - 1)).mean() < 0.1


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_with_so_many_examples_a_difference_of_two_shares_has_that_interval(share: float) -> None:
    count = examples_needed(share, 0.02)
    rng = np.random.default_rng(0)
    one, other = rng.binomial(count, share, (2, 20_000)) / count
    within = float((abs(one - other) < 0.02).mean())
    assert within == pytest.approx(0.95, abs=0.01)
