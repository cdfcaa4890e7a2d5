"""Cosine-distance difference against other people's numbers, and its invariances."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError
from mentee.losses import cosine_distance_difference
from tests.losses import formulas


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "name", ["cosine_distance_difference", "cosine_distance_difference_frames"]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_published_code(reference, name, seed):
    z = np.load(reference / f"{name}_seed{seed}.npz")
    student = torch.from_numpy(z["in_student"]).requires_grad_()
    loss = cosine_distance_difference(student, torch.from_numpy(z["in_teacher"]))
    loss.backward()
    np.testing.assert_allclose(loss.item(), z["loss"], rtol=1e-9)
    np.testing.assert_allclose(student.grad.numpy(), z["grad_student"], rtol=1e-9, atol=1e-14)


@settings(deadline=None, max_examples=20)
@given(
    b=st.integers(1, 6),
    frames=st.integers(0, 3),
    widths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)
def test_equals_the_formula_in_loops(b, frames, widths, seed):
    shape = (b, frames) if frames else (b,)
    student, teacher = (normal(*shape, d, seed=seed + i) for i, d in enumerate(widths))
    got = cosine_distance_difference(student, teacher)
    expected = formulas.cosine_distance_difference(student.numpy(), teacher.numpy())
    np.testing.assert_allclose(got.item(), expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0.1, 1e3), seed=st.integers(0, 99))
def test_no_turn_or_length_matters(scale, seed):
    teacher = normal(8, 5, seed=seed)
    turn = torch.linalg.qr(normal(7, 7, seed=seed + 1)).Q[:5]
    lengths = scale * (1 + torch.arange(8, dtype=torch.float64))[:, None]
    assert cosine_distance_difference(lengths * teacher @ turn, teacher).item() < 1e-12


def test_frames_that_do_not_go_together_are_refused():
    with pytest.raises(MenteeError, match=r"cosine_distance_difference: the student has shape"):
        cosine_distance_difference(normal(4, 2, 3), normal(4, 5, 3))
