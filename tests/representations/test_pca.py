"""PCA and random projection, against scikit-learn and against their definition."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from mentee.errors import PairError
from mentee.representations import PairInfo, pca, random_projection
from mentee.types import Statistics

X = torch.randn(60, 7, generator=torch.Generator().manual_seed(1)) * torch.arange(1.0, 8)


def known(seed=0):
    centered = X - X.mean(0)
    svd = torch.linalg.svd(centered, full_matrices=False)
    result = Statistics(X.mean(0), X.std(0, correction=0), svd.Vh, svd.S**2 / len(X))
    return PairInfo(None, lambda: result, seed)


@pytest.mark.parametrize("whiten", [False, True])
def test_pca_is_scikit_learns_but_for_signs(whiten):
    _, side = pca((4,), (7,), pair_info=known(), width=3, whiten=whiten)
    expected = PCA(3, whiten=whiten).fit_transform(X.numpy())
    if whiten:  # scikit-learn divides by n - 1
        expected = expected * np.sqrt(len(X) / (len(X) - 1))
    got = side(side.precompute(X)).numpy()
    np.testing.assert_allclose(np.abs(got), np.abs(expected), rtol=2e-3, atol=2e-3)


def test_pca_has_no_more_directions_than_there_are():
    with pytest.raises(PairError, match="width is 8, expected 1 to 7"):
        pca((4,), (7,), pair_info=known(), width=8)


def test_a_random_projection_follows_its_seed_and_keeps_lengths_in_the_mean():
    first, again, other = (
        random_projection((4,), (7,), pair_info=known(seed), width=2000)[1] for seed in (1, 1, 2)
    )
    output = first(first.precompute(X))
    assert torch.equal(output, again(again.precompute(X)))
    assert not torch.equal(output, other(other.precompute(X)))
    scaled = (X - X.mean(0)) / X.std(0, correction=0)
    torch.testing.assert_close(output.square().sum(1), scaled.square().sum(1), rtol=0.15, atol=0.1)


def test_nothing_of_them_is_trained():
    for build in (pca, random_projection):
        s_adapter, t_adapter = build((4,), (7,), pair_info=known(), width=3, student_head="linear")
        assert not list(t_adapter.parameters())
        assert s_adapter(s_adapter.precompute(torch.zeros(2, 4))).shape == (2, 3)


def test_an_orthogonal_projection_keeps_the_angles_of_standardized_vectors():
    _, side = random_projection((4,), (7,), pair_info=known(), width=7, orthogonal=True)
    scaled = (X - X.mean(0)) / X.std(0, correction=0)
    output = side(side.precompute(X))
    torch.testing.assert_close(output @ output.T, scaled @ scaled.T, rtol=1e-4, atol=1e-4)
    with pytest.raises(PairError, match="width is 8, and there are at most 7 orthogonal"):
        random_projection((4,), (7,), pair_info=known(), width=8, orthogonal=True)
