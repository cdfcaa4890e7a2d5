"""Unit vectors against loops, with a bounded slope everywhere."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mentee.representations import unit_norm
from tests.representations import formulas

STEEPEST = 1e3


@settings(deadline=None, max_examples=30)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    size=st.sampled_from([1e-6, 5e-4, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_equals_the_formula_in_loops(shape, size, seed):
    g = torch.Generator().manual_seed(seed)
    x = size * torch.randn(*shape, dtype=torch.float64, generator=g)
    expected = [formulas.unit(row) for row in x.reshape(-1, shape[-1]).numpy()]
    got = unit_norm(x).reshape(-1, shape[-1])
    for row, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(row, torch.from_numpy(wanted), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("size", [1e-5, 1.0, 1e3])
def test_gradient(size):
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda z: unit_norm(size * z), (x,))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-5, 1e-3, 1.0, 300.0, 3e4])
def test_the_slope_is_bounded_at_any_length(dtype, size):
    direction = torch.tensor([[1.0, -1.0, 0.5, 0.0]])
    x = (size * direction).to(dtype).requires_grad_()
    outer = torch.tensor([[1.0, 1.0, -1.0, 1.0]], dtype=dtype)
    y = unit_norm(x)
    y.backward(outer)
    assert y.dtype == dtype
    assert torch.isfinite(x.grad).all()
    assert x.grad.norm() <= STEEPEST * outer.norm() * 1.02
    length = y.detach().float().norm().item()
    assert length == pytest.approx(
        min(size * direction.norm().item() / 1e-3, 1.0), rel=0.02, abs=1e-3
    )


def test_a_dead_row_among_live_ones_disturbs_none():
    x = torch.randn(3, 5, dtype=torch.float64)
    x[1] = 0
    x.requires_grad_()
    y = unit_norm(x)
    y.square().sum().backward()
    assert y[1].eq(0).all()
    assert x.grad[1].eq(0).all()
    torch.testing.assert_close(y[[0, 2]].norm(dim=1), torch.ones(2, dtype=torch.float64))


def test_the_input_is_left_as_it_was():
    x = torch.randn(2, 3)
    before = x.clone()
    unit_norm(x)
    assert torch.equal(x, before)
