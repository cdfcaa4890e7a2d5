"""Similarity distributions against loops, in the batch and over a memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mentee.errors import MenteeError
from mentee.losses import similarity_kl
from mentee.losses.negatives import Draw, Negatives
from mentee.memory import Queue
from tests.losses import formulas


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def negatives(bank, rows=None):
    """The other side's rows hold NaN: none of them may be read."""
    draw = Draw(rows, torch.ones(1), None, None, 1, 1.0)
    wrong = torch.full_like(bank, torch.nan)
    return Negatives((wrong, wrong), (wrong, bank), draw)


@settings(deadline=None, max_examples=20)
@given(
    b=st.integers(1, 6),
    widths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    temperature=st.floats(0.05, 5),
    seed=st.integers(0, 99),
)
def test_equals_the_formula_in_loops(b, widths, temperature, seed):
    student, teacher = (normal(b, d, seed=seed + i) for i, d in enumerate(widths))
    got = similarity_kl(student, teacher, temperature=temperature)
    expected = formulas.similarity_kl(student.numpy(), teacher.numpy(), temperature)
    assert got.shape == (b,)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("drawn", [None, [4, 0, 2]])
def test_equals_the_formula_over_the_teachers_rows_of_a_memory(drawn):
    student, teacher, bank = normal(4, 6), normal(4, 6, seed=1), 3 * normal(9, 6, seed=2)
    rows = None if drawn is None else torch.tensor(drawn)
    got = similarity_kl(student, teacher, negatives=negatives(bank, rows), temperature=0.2)
    read = bank.numpy() if drawn is None else bank.numpy()[drawn]
    expected = formulas.similarity_kl_with_rows(student.numpy(), teacher.numpy(), read, 0.2)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_over_a_queue_the_batch_of_now_and_those_before_are_the_references():
    queue = Queue(["m"], torch.arange(20), 5, negatives=6)
    seen = []
    for step in range(3):
        student, teacher = normal(4, 5, seed=step), normal(4, 5, seed=10 + step)
        queue.begin(torch.arange(4) + 4 * step, step)
        read = queue.read("m", student, teacher)
        got = similarity_kl(student, teacher, negatives=read)
        references = np.concatenate([teacher.numpy(), *seen])
        queue.write()
        expected = formulas.similarity_kl_with_rows(
            student.numpy(), teacher.numpy(), references, 0.07
        )
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)  # a queue of float32
        seen = [np.concatenate([*seen, teacher.numpy()])[-6:]]


@given(scale=st.floats(0.1, 1e3), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_no_turn_or_length_matters(scale, seed):
    teacher = normal(8, 5, seed=seed)
    turn = torch.linalg.qr(normal(7, 7, seed=seed + 1)).Q[:5]
    assert similarity_kl(scale * teacher @ turn, teacher).abs().max() < 1e-9


def test_gradient_over_a_memory():
    student, teacher, bank = normal(3, 4).requires_grad_(), normal(3, 4, seed=1), normal(5, 4)
    bank.requires_grad_()

    def loss(s):
        return similarity_kl(s, teacher, negatives=negatives(bank.detach()), temperature=0.3)

    assert gradcheck(loss, (student,))
    similarity_kl(student, teacher, negatives=negatives(bank)).sum().backward()
    assert bank.grad is None


@pytest.mark.parametrize("b", [1, 2])
def test_with_less_than_two_others_there_is_nothing_to_say(b):
    student = normal(b, 3).requires_grad_()
    loss = similarity_kl(student, normal(b, 3, seed=1))
    loss.sum().backward()
    assert loss.tolist() == [0.0] * b
    assert not student.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cold_temperature_stays_finite(dtype):
    student = normal(4, 6).to(dtype).requires_grad_()
    loss = similarity_kl(student, normal(4, 6, seed=1).to(dtype), temperature=1e-3)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(student.grad).all()


def test_a_draw_for_each_anchor_is_refused():
    given = negatives(normal(9, 6), torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(MenteeError, match="draws other rows for each example"):
        similarity_kl(normal(4, 6), normal(4, 6), negatives=given)


def test_widths_must_be_equal_with_a_memory():
    with pytest.raises(MenteeError, match=r"with a memory: .* expected equal ones"):
        similarity_kl(normal(4, 3), normal(4, 6), negatives=negatives(normal(9, 6)))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(MenteeError, match=r"temperature is .*, expected a number above 0"):
        similarity_kl(normal(2, 2), normal(2, 2), temperature=temperature)
