"""The task's own loss against loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mentee.tasks import MultiLabel, SingleLabel
from tests.losses import formulas


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), smoothing=st.sampled_from([0.0, 0.1, 0.5]))
def test_one_class_equals_the_formula_in_loops(seed, smoothing):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 4, dtype=torch.float64, generator=g)
    labels = torch.randint(4, (5,), generator=g)
    got = SingleLabel(smoothing).loss(logits, labels)
    expected = [
        formulas.cross_entropy(z, y, smoothing)
        for z, y in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999))
def test_several_classes_equal_the_formula_in_loops(seed):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 4, dtype=torch.float64, generator=g)
    labels = torch.randint(2, (5, 4), generator=g).double()
    mask = torch.rand(5, 4, generator=g) < 0.5
    got = MultiLabel().loss(logits, labels, mask)
    expected = [
        formulas.masked_bce(*row)
        for row in zip(logits.tolist(), labels.tolist(), mask.tolist(), strict=True)
    ]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


def test_an_unknown_label_sends_no_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    MultiLabel().loss(logits, torch.ones(2, 3), mask).sum().backward()
    assert torch.equal(logits.grad != 0, mask)


def test_gradients():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda z: SingleLabel().loss(z, torch.tensor([0, 1, 3])), (logits,))
    assert gradcheck(
        lambda z: MultiLabel().loss(z, torch.eye(3, 4, dtype=torch.float64)), (logits,)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_at_large_logits(dtype):
    logits = torch.tensor([[1e4, -1e4]], dtype=dtype, requires_grad=True)
    SingleLabel().loss(logits, torch.tensor([1])).sum().backward()
    assert torch.isfinite(logits.grad).all()
