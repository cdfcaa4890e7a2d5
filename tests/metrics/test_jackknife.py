"""The jackknife over groups against loops, and against what theory says of a mean."""

import numpy as np

from mentee.metrics import score_gain, scores_without_groups


def test_it_is_its_formula():
    rng = np.random.default_rng(0)
    now, before = rng.normal(size=8), rng.normal(size=8)
    differences = [a - b for a, b in zip(now, before, strict=True)]
    mean = sum(differences) / 8
    squares = sum((d - mean) ** 2 for d in differences)
    difference, noise = score_gain(now.tolist(), before.tolist())
    np.testing.assert_allclose(difference, mean, rtol=1e-9)
    np.testing.assert_allclose(noise, (7 / 8 * squares) ** 0.5, rtol=1e-9)


def test_of_a_share_it_is_the_binomial_error():
    """For a mean of n independent values the variance is that of one value divided by n."""
    n, p, groups = 1000, 0.6, 20
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        right = (rng.random(n) < p).astype(float)
        of = rng.integers(0, groups, n)
        scores = scores_without_groups(lambda rows, right=right: float(right[rows].mean()), of)
        found.append(score_gain(scores, [0.0] * len(scores))[1] ** 2)
    np.testing.assert_allclose(np.mean(found), p * (1 - p) / n, rtol=0.15)


def test_what_both_have_in_common_falls_out():
    rng = np.random.default_rng(2)
    common, of = rng.normal(size=500), np.arange(500) % 20
    scores = scores_without_groups(lambda rows: float(common[rows].mean()), of)
    better = scores_without_groups(lambda rows: float((common + 0.25)[rows].mean()), of)
    difference, noise = score_gain(better, scores)
    np.testing.assert_allclose([difference, noise], [0.25, 0.0], atol=1e-9)


def test_each_group_is_left_out_once():
    seen = []
    scores_without_groups(
        lambda rows: float(seen.append(rows.tolist()) or 0), np.array([2, 0, 2, 5])
    )
    assert seen == [[0, 2, 3], [1, 3], [0, 1, 2]]
