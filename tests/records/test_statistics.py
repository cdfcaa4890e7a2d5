"""Statistics of vectors, against NumPy's SVD and scikit-learn's PCA of all of them at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from mentee.records import statistics
from mentee.records.statistics import Moments, fit


def vectors(n=300, d=12, seed=0):
    """Correlated, far from the origin, of very different spreads."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.geomspace(1, 0.01, d) @ rng.normal(size=(d, d)) + 50


def chunks(x, step=37):
    return [x[i : i + step] for i in range(0, len(x), step)]


def test_equals_the_singular_value_decomposition():
    x = vectors()
    found = fit(chunks(x), 12)
    centered = x - x.mean(axis=0)
    _, singular, directions = np.linalg.svd(centered, full_matrices=False)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.std, x.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.variances, singular**2 / len(x), rtol=1e-4)
    cosines = np.abs((found.components.double().numpy() * directions).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-6)
    eye = found.components.double() @ found.components.double().T
    torch.testing.assert_close(eye, torch.eye(12, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("n", "d"), [(300, 12), (7, 12)])
def test_equals_pca_of_another_library(n, d):
    x = vectors(n, d)
    found, theirs = fit(chunks(x, 3), d), PCA(svd_solver="full").fit(x)
    assert found.components.shape == theirs.components_.shape == (min(n, d), d)
    np.testing.assert_allclose(
        found.variances, theirs.explained_variance_ * (n - 1) / n, rtol=1e-4, atol=1e-5
    )
    strong = theirs.explained_variance_ > 1e-6
    same = np.abs((found.components.numpy() * theirs.components_).sum(axis=1))[strong]
    np.testing.assert_allclose(same, 1, atol=1e-5)


def test_compressed_vectors_are_as_close_as_any_linear_map_gets():
    x = vectors()
    found = fit(chunks(x), 12)
    mean, rows = found.mean.double().numpy(), found.components[:4].double().numpy()
    restored = (x - mean) @ rows.T @ rows + mean
    lost = np.square(x - restored).sum() / len(x)
    assert lost == pytest.approx(float(found.variances[4:].sum()), rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 40), d=st.integers(1, 8), step=st.integers(1, 50), shift=st.floats(-1e4, 1e4)
)
def test_chunks_do_not_matter(n, d, step, shift):
    x = np.random.default_rng(n).normal(size=(n, d)) + shift
    moments = Moments(d)
    for chunk in chunks(x, step):
        moments.add(chunk)
    np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-12, atol=1e-12)
    scatter = (x - x.mean(axis=0)).T @ (x - x.mean(axis=0))
    np.testing.assert_allclose(moments.scatter, scatter, atol=1e-7)
    found = moments.statistics()
    assert found.components.shape == (min(n, d), d)
    assert all(torch.isfinite(part).all() for part in vars(found).values())


def test_every_frame_is_a_vector():
    x = np.random.default_rng(1).normal(size=(6, 4, 3))
    framed, flat = fit([x[:2], x[2:]], 3), fit([x.reshape(-1, 3)], 3)
    for name, value in vars(framed).items():
        torch.testing.assert_close(value, getattr(flat, name))
    assert framed.components.shape == (3, 3)


def test_one_vector_and_equal_vectors_are_no_exception():
    for x in (np.ones((1, 3)), np.ones((5, 3))):
        found = fit([x], 3)
        assert found.std.tolist() == [0, 0, 0]
        assert found.variances.tolist() == [0.0] * min(len(x), 3)
        assert torch.isfinite(found.components).all()


def test_signs_are_fixed():
    x = vectors(40, 5)
    found, turned = fit([x], 5), fit([x[::-1]], 5)
    torch.testing.assert_close(found.components, turned.components, atol=1e-4, rtol=0)
    assert all(row[row.abs().argmax()] > 0 for row in found.components)


def test_what_is_saved_is_loaded(tmp_path):
    found = fit([vectors(30, 4)], 4)
    statistics.save(found, tmp_path / "s")
    loaded = statistics.load(tmp_path / "s", 4)
    assert loaded is not None
    assert all(torch.equal(part, getattr(loaded, name)) for name, part in vars(found).items())
    assert statistics.load(tmp_path / "s", 5) is None, "of other vectors"
    assert statistics.load(tmp_path / "none", 4) is None
    (tmp_path / "s").write_bytes(b"half")
    assert statistics.load(tmp_path / "s", 4) is None
