"""Whitening and PHI standardization: what varies how, and that proportions stay."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.representations.heads import balancing, evenly_turned, whitening
from mentee.types import Statistics


def measured(n=400, d=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64) @ torch.randn(
        d, d, generator=g, dtype=torch.float64
    )
    x = x - x.mean(0)
    spread = torch.linalg.svd(x, full_matrices=False)
    return x, Statistics(x.mean(0), x.std(0, correction=0), spread.Vh, spread.S**2 / n)


def covariance(x):
    return x.T @ x / len(x)


def test_whitened_vectors_have_the_unit_covariance():
    x, result = measured()
    torch.testing.assert_close(covariance(x @ whitening(result).T), torch.eye(6).double())


def test_balanced_vectors_have_variance_one_in_every_entry_and_keep_all_proportions():
    x, result = measured()
    y = x @ balancing(result).T
    torch.testing.assert_close(covariance(y).diag(), torch.ones(6).double())
    ratios = (
        torch.cdist(y, y)[~torch.eye(len(x)).bool()] / torch.cdist(x, x)[~torch.eye(len(x)).bool()]
    )
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))


@given(variances=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12))
@settings(deadline=None, max_examples=40)
def test_any_variances_are_turned_to_their_mean(variances):
    values = torch.tensor(variances, dtype=torch.float64)
    r = evenly_turned(values)
    torch.testing.assert_close(r @ r.T, torch.eye(len(values)).double())
    diagonal = (r @ torch.diag(values) @ r.T).diag()
    torch.testing.assert_close(diagonal, values.mean().expand(len(values)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("turn", [whitening, balancing])
def test_directions_that_hardly_vary_are_left_out(turn):
    x, result = measured()
    flat = Statistics(result.mean, result.std, result.components, result.variances.clone())
    flat.variances[-2:] = 0.0
    matrix = turn(flat)
    assert matrix.shape == (4, 6)
    assert torch.isfinite(x @ matrix.T).all()
