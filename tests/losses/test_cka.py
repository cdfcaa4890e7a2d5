"""Centered kernel alignment against loops, its invariances, and what debiasing is for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mentee.errors import MenteeError
from mentee.losses import cka
from tests.losses import formulas


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=20)
@given(
    b=st.integers(4, 7),
    frames=st.integers(0, 3),
    widths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    debiased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_formula_in_loops(b, frames, widths, debiased, seed):
    shape = (b, frames) if frames else (b,)
    student, teacher = (3 * normal(*shape, d, seed=seed + i) + i for i, d in enumerate(widths))
    got = cka(student, teacher, debiased=debiased)
    expected = formulas.cka(student.numpy(), teacher.numpy(), debiased)
    np.testing.assert_allclose(got.item(), expected, rtol=1e-9, atol=1e-10)


def test_equals_the_form_over_features():
    """|Yᵀ X|² / (|Xᵀ X| |Yᵀ Y|) of the centered columns, Kornblith et al., equation 3."""
    student, teacher = normal(9, 4), normal(9, 6, seed=1)
    x, y = ((z - z.mean(0)).numpy() for z in (student, teacher))
    norm = np.linalg.norm
    expected = 1 - norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y))
    np.testing.assert_allclose(cka(student, teacher).item(), expected, rtol=1e-9)


@settings(deadline=None, max_examples=20)
@given(
    scale=st.floats(1e-2, 1e4),
    shift=st.floats(-10, 10),
    debiased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_turn_scale_shift_or_empty_width_matters(scale, shift, debiased, seed):
    teacher = normal(8, 5, seed=seed)
    turn = torch.linalg.qr(normal(7, 7, seed=seed + 1)).Q[:5]
    loss = cka(scale * teacher @ turn + shift, teacher, debiased=debiased)
    assert abs(loss.item()) < 1e-8


def test_only_the_debiased_estimate_finds_unrelated_wide_batches_unrelated():
    student, teacher = normal(16, 2000), normal(16, 2000, seed=1)
    assert cka(student, teacher).item() < 0.05
    assert abs(cka(student, teacher, debiased=True).item() - 1) < 0.3


@pytest.mark.parametrize("debiased", [False, True])
def test_the_gradient_is_that_of_the_loss(debiased):
    student, teacher = normal(5, 2, 4, seed=1).requires_grad_(), normal(5, 2, 3, seed=2)
    assert gradcheck(lambda s: cka(s, teacher, debiased=debiased), (student,))


# Of the estimate without bias the quotient itself may be 0 / 0, at rows that are not alike.
@pytest.mark.parametrize(("debiased", "steepest"), [(False, 6.4e4), (True, 4e6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-5, 1e-3, 1e-1, 1e4])
def test_the_slope_is_bounded_where_all_rows_nearly_agree(debiased, steepest, dtype, apart):
    student = (1 + apart * normal(8, 4)).to(dtype).requires_grad_()
    loss = cka(student, normal(8, 4, seed=1).to(dtype), debiased=debiased)
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad.double().norm(dim=1).max() <= steepest / 8**0.5


def test_rows_equally_far_from_one_another_say_nothing_debiased():
    """Their centered Gram matrix is empty: finite, and not steep."""
    student = torch.eye(8, dtype=torch.float64).requires_grad_()
    loss = cka(student, normal(8, 4, seed=1), debiased=True)
    loss.backward()
    assert abs(loss.item() - 1) < 1e-9
    assert student.grad.norm(dim=1).max() <= 2e3


@pytest.mark.parametrize("b", [1, 3])
def test_too_few_examples_to_debias_are_refused(b):
    with pytest.raises(MenteeError, match=rf"debiased over a batch of {b}, expected at least 4"):
        cka(normal(b, 3), normal(b, 3, seed=1), debiased=True)
    assert torch.isfinite(cka(normal(b, 3), normal(b, 3, seed=1)))
