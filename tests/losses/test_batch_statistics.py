"""What the agreements share: frames, lengths, and what they refuse."""

import pytest
import torch

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import (
    by_frame,
    check_alike,
    check_positive,
    full,
    mean_of_pairs,
    unit,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_becomes_full(given, expected):
    assert full(torch.ones(2, dtype=given)).dtype == expected


def test_short_vectors_are_divided_by_a_thousandth():
    x = torch.tensor([[3.0, 4.0], [3e-4, 4e-4], [0.0, 0.0], [3e9, -4e9]], dtype=torch.float64)
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0], [0.6, -0.8]], dtype=torch.float64)
    torch.testing.assert_close(unit(x), expected)
    slopes = torch.func.vmap(torch.func.jacrev(unit))(x)
    assert torch.linalg.matrix_norm(slopes, 2).max() <= 1000 + 1e-9


def test_frames_come_first():
    student, teacher = torch.arange(24.0).view(4, 2, 3), torch.arange(40.0).view(4, 2, 5)
    x, y = by_frame("cka", student, teacher)
    assert torch.equal(x[1], student[:, 1])
    assert torch.equal(y[0], teacher[:, 0])
    x, y = by_frame("cka", student[:, 0].bfloat16(), teacher[:, 0])
    assert (x.shape, y.shape, x.dtype) == ((1, 4, 3), (1, 4, 5), torch.float32)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((4, 3), (5, 3)),
        ((4, 2, 3), (4, 5, 3)),
        ((4,), (4,)),
        ((4, 2, 3), (4, 3)),
        ((4, 1, 1, 3),) * 2,
    ],
)
def test_batches_that_do_not_go_together_are_refused(student, teacher):
    with pytest.raises(MenteeError, match=r"^cka: the student has shape .* align or pool"):
        by_frame("cka", torch.ones(student), torch.ones(teacher))


def test_matrices_have_a_mean_each():
    x = torch.stack([torch.eye(2), torch.full((2, 2), 3.0)])
    assert mean_of_pairs(x).tolist() == [0.5, 3.0]


def test_unlike_shapes_are_refused():
    check_alike("mse", torch.ones(2, 3), torch.zeros(2, 3))
    with pytest.raises(
        MenteeError, match=r"^mse: .*\(2, 3\), the teacher \(2, 1\); expected equal"
    ):
        check_alike("mse", torch.ones(2, 3), torch.ones(2, 1))


def test_numbers_that_are_not_positive_are_refused():
    check_positive("kl", "temperature", 0.1)
    for wrong in (0.0, -2.0, float("nan")):
        with pytest.raises(MenteeError, match=r"kl: temperature is .*, expected a number above 0"):
            check_positive("kl", "temperature", wrong)
