"""Distance correlation against other people's numbers, its invariances, and near rows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mentee.errors import MenteeError
from mentee.losses import distance_correlation
from tests.losses import formulas


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["distance_correlation", "distance_correlation_frames"])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_published_code(reference, name, seed):
    z = np.load(reference / f"{name}_seed{seed}.npz")
    student = torch.from_numpy(z["in_student"]).requires_grad_()
    loss = distance_correlation(student, torch.from_numpy(z["in_teacher"]))
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
    got = distance_correlation(student, teacher)
    expected = formulas.distance_correlation(student.numpy(), teacher.numpy())
    np.testing.assert_allclose(got.item(), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0.1, 1e3), shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_no_turn_scale_shift_or_empty_width_matters(scale, shift, seed):
    teacher = normal(8, 5, seed=seed)
    turn = torch.linalg.qr(normal(7, 7, seed=seed + 1)).Q[:5]  # [5, 7], rows of length 1
    assert distance_correlation(scale * teacher @ turn + shift, teacher).item() < 1e-7


def test_unrelated_batches_are_far_apart_and_noise_makes_them_so():
    teacher = normal(64, 2)
    losses = [
        distance_correlation(teacher + noise * normal(64, 2, seed=1), teacher).item()
        for noise in (0.0, 0.5, 2.0, 50.0)
    ]
    assert losses == sorted(losses)
    assert losses[0] < 1e-6
    assert losses[-1] > 0.8


@settings(deadline=None, max_examples=20)
@given(b=st.integers(5, 8), frames=st.integers(0, 3), seed=st.integers(0, 99))
def test_debiased_equals_the_formula_in_loops(b, frames, seed):
    shape = (b, frames) if frames else (b,)
    student, teacher = (normal(*shape, d, seed=seed + i) for i, d in enumerate((3, 5)))
    got = distance_correlation(student, teacher, debiased=True)
    expected = formulas.distance_correlation(student.numpy(), teacher.numpy(), debiased=True)
    np.testing.assert_allclose(got.item(), expected, rtol=1e-6, atol=1e-6)


def test_only_debiased_unrelated_batches_are_unrelated():
    def losses(debiased):
        return [
            distance_correlation(
                normal(16, 64, seed=seed), normal(16, 64, seed=100 + seed), debiased=debiased
            ).item()
            for seed in range(20)
        ]

    assert abs(np.mean(losses(True)) - 1) < 0.05
    assert np.mean(losses(False)) < 0.1


def test_only_debiased_the_teachers_clusters_are_nearer_than_equal_distances():
    """Four classes, and as much variation within each as between them."""
    center, labels = normal(4, 64), torch.arange(16) % 4
    teacher = center[labels] + normal(16, 64, seed=1)
    clustered, equidistant = center[labels], torch.eye(16, dtype=torch.float64)

    def gain(debiased):
        of_equidistant, of_clustered = (
            distance_correlation(each, teacher, debiased=debiased).item()
            for each in (equidistant, clustered)
        )
        return of_equidistant - of_clustered

    assert gain(debiased=False) < 0
    assert gain(debiased=True) > 0.3


@pytest.mark.parametrize(("b", "debiased"), [(2, False), (5, False), (5, True)])
def test_the_gradient_is_that_of_the_loss(b, debiased):
    student, teacher = normal(b, 2, 4, seed=1).requires_grad_(), normal(b, 2, 3, seed=2)
    student.data[-1] *= 3
    assert gradcheck(lambda s: distance_correlation(s, teacher, debiased=debiased), (student,))


def test_near_rows_lose_nothing_to_rounding():
    """Two rows a millionth of the others' distance apart, far from the origin, in float32."""
    student, teacher = normal(16, 256).float(), normal(16, 256, seed=1).float()
    student += 30
    student[1] = student[0]
    student[1, 0] += 2**-12
    of_32, of_64 = (x.clone().requires_grad_() for x in (student, student.double()))
    got, exact = distance_correlation(of_32, teacher), distance_correlation(of_64, teacher.double())
    got.backward()
    exact.backward()
    gap = student.double()[0] - student.double()[1]
    expected = formulas.distance_correlation(student.double().numpy(), teacher.double().numpy())
    assert abs(exact.item() - expected) < 1e-12
    assert abs(got.item() - expected) < 1e-7
    torch.testing.assert_close(of_32.grad.double(), of_64.grad, rtol=1e-5, atol=1e-9)
    assert torch.sign((of_64.grad[0] - of_64.grad[1]) @ gap) != 0


@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-5, 1e-3, 1e-1])
@pytest.mark.parametrize("teachers", [1e-6, 1.0, 1e4])
def test_the_slope_is_bounded_where_all_rows_nearly_agree(apart, teachers):
    student = (1 + apart * normal(9, 4)).requires_grad_()
    loss = distance_correlation(student, teachers * normal(9, 4, seed=1))
    loss.backward()
    assert 0 <= loss.item() <= 1 + 1e-9
    assert student.grad.norm(dim=1).max() <= 2e3 / math.sqrt(9)


@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-5, 1e-3, 1e-1, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_debiased_it_stays_finite(apart, dtype):
    student = (1 + apart * normal(9, 4)).to(dtype).requires_grad_()
    loss = distance_correlation(student, normal(9, 4, seed=1).to(dtype), debiased=True)
    loss.backward()
    assert 0 <= loss.item() <= 2
    assert student.grad.double().norm(dim=1).max() <= 4e6


@pytest.mark.parametrize("b", [1, 2, 3])
def test_fewer_than_four_examples_are_compared_with_bias(b):
    student, teacher = normal(b, 2), normal(b, 2, seed=1)
    both = [distance_correlation(student, teacher, debiased=d).item() for d in (False, True)]
    assert both[0] == both[1]


def test_frames_that_do_not_go_together_are_refused():
    with pytest.raises(
        MenteeError, match=r"distance_correlation: the student has shape \(4, 2, 3\)"
    ):
        distance_correlation(normal(4, 2, 3), normal(4, 5, 3))
