"""Soft targets of several classes against other people's numbers, loops, and at their corners."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError
from mentee.losses import binary_kd
from tests.losses import formulas


def logits(b, k, seed=0):
    return 3 * torch.randn(b, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_published_code(reference, seed):
    z = np.load(reference / f"binary_kd_seed{seed}.npz")
    student, teacher, known = (
        torch.from_numpy(z[f"in_{name}"])
        for name in ("student_logits", "teacher_logits", "label_mask")
    )
    loss = binary_kd(student.requires_grad_(), teacher, temperature=2.0, mask=known).mean()
    loss.backward()
    np.testing.assert_allclose(loss.item(), z["loss"], rtol=1e-9)
    np.testing.assert_allclose(
        student.grad.numpy(), z["grad_student_logits"], rtol=1e-9, atol=1e-14
    )


@settings(deadline=None, max_examples=20)
@given(
    b=st.integers(1, 5),
    k=st.integers(1, 7),
    temperature=st.floats(0.5, 20),
    seed=st.integers(0, 99),
)
def test_equals_the_formula_in_loops(b, k, temperature, seed):
    student, teacher = logits(b, k, seed), logits(b, k, seed + 1)
    known = torch.rand(b, k, generator=torch.Generator().manual_seed(seed)) < 0.6
    got = binary_kd(student, teacher, temperature=temperature, mask=known)
    expected = formulas.binary_kd(student.tolist(), teacher.tolist(), known.tolist(), temperature)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_without_a_mask_every_entry_is_labeled():
    student, teacher = logits(3, 4), logits(3, 4, 1)
    every = torch.ones(3, 4, dtype=torch.bool)
    torch.testing.assert_close(binary_kd(student, teacher), binary_kd(student, teacher, mask=every))


def test_what_is_not_labeled_does_not_matter():
    """Nor does the number of labels of an example change the weight of one of them."""
    student, teacher = logits(2, 3).requires_grad_(), logits(2, 3, 1)
    known = torch.tensor([[True, False, False], [True, True, True]])
    binary_kd(student, teacher, mask=known).mean().backward()
    assert torch.equal(student.grad != 0, known)
    p, q = (teacher / 2).sigmoid(), (student.detach() / 2).sigmoid()
    torch.testing.assert_close(  # T (q - p) / n
        student.grad, 2 * (q - p) * known / 4, rtol=1e-6, atol=1e-8
    )


def test_a_batch_without_any_label_costs_nothing():
    student = logits(2, 3).requires_grad_()
    loss = binary_kd(student, logits(2, 3, 1), mask=torch.zeros(2, 3, dtype=torch.bool))
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
    assert not student.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gap", [0.0, 110.0, 1e4])
def test_finite_at_any_gap_of_logits(dtype, gap):
    teacher = torch.tensor([[gap, -gap]], dtype=dtype)
    student = teacher.flip(1).clone().requires_grad_()
    loss = binary_kd(student, teacher)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert student.grad.abs().max() <= 2.0 / 2  # T (q - p) / n


def test_a_student_that_is_sure_is_not_driven_further():
    """Where the published code's loss goes to minus infinity."""
    student = torch.tensor([[400.0, 4000.0]], dtype=torch.float64).requires_grad_()
    loss = binary_kd(student, torch.tensor([[300.0, 300.0]], dtype=torch.float64))
    loss.backward()
    assert abs(loss.item()) < 1e-9
    assert student.grad.abs().max() < 1e-9


def test_a_far_logit_costs_its_distance():
    """To a thousandth of T²: the bound on what the published code adds."""
    student, teacher = torch.tensor([[40.0, -40.0]]), torch.tensor([[-40.0, 40.0]])
    assert abs(binary_kd(student, teacher).item() - 4 * 40 / 2) < 4e-3


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(MenteeError, match=r"temperature is .*, expected a number above 0"):
        binary_kd(logits(1, 2), logits(1, 2), temperature=temperature)
