"""Positions of unlike networks: maps of any size, and tokens as lines or as squares."""

import pytest
import torch

from mentee.errors import PairError
from mentee.representations import dense_project


@pytest.mark.parametrize(
    ("student", "teacher", "size"),
    [
        ((3, 4, 4), (5, 8, 8), (4, 4)),
        ((3, 32, 32), (5, 16, 16), (8, 8)),
        ((17, 3), (5, 8, 8), (4, 4)),
        ((10, 3), (10, 5), (10, 1)),
    ],
)
def test_the_finer_is_averaged_to_the_coarser(student, teacher, size):
    for adapter, shape in zip(dense_project(student, teacher), (student, teacher), strict=True):
        x = torch.randn(2, *shape)
        vectors = adapter(adapter.precompute(x))
        assert vectors.shape == (2, 64, *size)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2, *size))


def test_patches_of_two_sizes_meet_where_they_lie_in_the_image():
    """4 × 4 patches behind a class token, and 8 × 8 behind four registers and one."""
    coarse, fine = torch.randn(2, 17, 3), torch.randn(2, 69, 3)
    student, teacher = dense_project((17, 3), (69, 3), square=True)
    for row, column in ((0, 0), (1, 3)):
        own = student.precompute(coarse)[:, :, row, column]
        assert torch.equal(own, coarse[:, 1 + 4 * row + column])
        cells = [5 + 8 * (2 * row + i) + 2 * column + j for i in (0, 1) for j in (0, 1)]
        expected = fine[:, cells].mean(1)
        torch.testing.assert_close(teacher.precompute(fine)[:, :, row, column], expected)


def test_tokens_that_make_no_square_are_refused_where_squares_are_asked_for():
    dense_project((23, 3), (24, 3))
    with pytest.raises(PairError, match="dense_project: 23 tokens make no square"):
        dense_project((23, 3), (24, 3), square=True)
