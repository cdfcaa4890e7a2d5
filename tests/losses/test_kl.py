"""Soft targets against loops, other people's numbers, and at their corners."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mentee.errors import MenteeError
from mentee.losses import kl
from tests.losses import formulas


def logits(b, k, seed=0):
    return 3 * torch.randn(b, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=20)
@given(
    b=st.integers(1, 5),
    k=st.integers(2, 7),
    temperature=st.floats(0.5, 20),
    seed=st.integers(0, 99),
)
def test_equals_the_formula_in_loops(b, k, temperature, seed):
    student, teacher = logits(b, k, seed), logits(b, k, seed + 1)
    got = kl(student, teacher, temperature=temperature)
    expected = formulas.kl(student.tolist(), teacher.tolist(), temperature)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "temperature"), [("kd", 4.0), ("kd_t1", 1.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_published_code(reference, name, temperature, seed):
    z = np.load(reference / f"{name}_seed{seed}.npz")
    student = torch.from_numpy(z["in_student_logits"]).requires_grad_()
    loss = kl(student, torch.from_numpy(z["in_teacher_logits"]), temperature=temperature).mean()
    loss.backward()
    np.testing.assert_allclose(loss.item(), z["loss"], rtol=1e-9)
    np.testing.assert_allclose(
        student.grad.numpy(), z["grad_student_logits"], rtol=1e-9, atol=1e-14
    )


def test_gradient_reaches_the_student_only():
    student, teacher = logits(3, 4).requires_grad_(), logits(3, 4, 1).requires_grad_()
    assert gradcheck(lambda s: kl(s, teacher.detach(), temperature=2.0), (student,))
    kl(student, teacher).sum().backward()
    assert teacher.grad is None


def test_the_order_of_examples_does_not_matter():
    student, teacher = logits(4, 5), logits(4, 5, 1)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(
        kl(student[order], teacher[order]), kl(student, teacher)[order], rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("gap", [0.0, 110.0, 1e4])
def test_finite_at_any_gap_of_logits(dtype, temperature, gap):
    teacher = torch.tensor([[gap, 0.0, -gap]], dtype=dtype)
    student = teacher.flip(1).clone().requires_grad_()
    before = student.detach().clone()
    loss = kl(student, teacher, temperature=temperature)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() <= temperature * 1.01  # T (q - p) at the most
    assert torch.equal(student.detach(), before)


def test_compiles():
    student, teacher = logits(3, 4), logits(3, 4, 1)
    compiled = torch.compile(kl, backend="aot_eager")
    torch.testing.assert_close(compiled(student, teacher), kl(student, teacher))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(MenteeError, match=r"temperature is .*, expected a number above 0"):
        kl(logits(1, 2), logits(1, 2), temperature=temperature)
