"""Cosine, squared and smooth absolute error against loops and torch's own."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError
from mentee.losses import cosine, mse, smooth_l1
from tests.losses import formulas


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=20)
@given(
    b=st.integers(1, 5),
    frames=st.integers(0, 3),
    d=st.integers(1, 6),
    beta=st.floats(0.01, 5),
    seed=st.integers(0, 99),
)
def test_equal_the_formulas_in_loops(b, frames, d, beta, seed):
    shape = (b, frames, d) if frames else (b, d)
    student, teacher = normal(*shape, seed=seed), normal(*shape, seed=seed + 1)
    x, y = student.numpy(), teacher.numpy()
    for got, expected in (
        (cosine(student, teacher), formulas.cosine(x, y)),
        (mse(student, teacher), formulas.mse(x, y)),
        (smooth_l1(student, teacher, beta=beta), formulas.smooth_l1(x, y, beta)),
    ):
        assert got.shape == (b,)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_their_means_are_those_of_torch():
    student, teacher = normal(5, 3, 4), normal(5, 3, 4, seed=1)
    pairs = (
        (cosine(student, teacher), 1 - F.cosine_similarity(student, teacher, dim=-1).mean()),
        (mse(student, teacher), F.mse_loss(student, teacher)),
        (smooth_l1(student, teacher, beta=0.3), F.smooth_l1_loss(student, teacher, beta=0.3)),
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.mean(), theirs)


@given(scale=st.floats(0.01, 1e4))
def test_cosine_does_not_see_lengths(scale):
    x = normal(3, 4)
    np.testing.assert_allclose(cosine(scale * x, x).numpy(), 0, atol=1e-12)
    np.testing.assert_allclose(cosine(-scale * x, x).numpy(), 2, atol=1e-12)


def test_squares_do_not_overflow_in_half_precision():
    student, teacher = (torch.full((1, 4), v, dtype=torch.float16) for v in (3e4, -3e4))
    assert mse(student, teacher).item() == pytest.approx(3.6e9, rel=1e-2)


@pytest.mark.parametrize("agreement", [mse, smooth_l1])
def test_shapes_that_differ_are_refused(agreement):
    with pytest.raises(MenteeError, match=r"\(4, 1, 3\), the teacher \(4, 2, 3\); expected equal"):
        agreement(normal(4, 1, 3), normal(4, 2, 3))


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan")])
def test_a_beta_that_is_not_positive_is_refused(beta):
    with pytest.raises(MenteeError, match=r"smooth_l1: beta is .*, expected a number above 0"):
        smooth_l1(normal(1, 2), normal(1, 2), beta=beta)
