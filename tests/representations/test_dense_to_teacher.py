"""Positions in the teacher's space: its channels standardized by all that was seen, unit length."""

import numpy as np
import pytest
import torch

from mentee.errors import MenteeError, PairError
from mentee.representations import dense_to_teacher


def expected(seen: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Loops over examples and positions, in float64."""
    channels = np.moveaxis(seen, 1, 0).reshape(seen.shape[1], -1)
    z = np.empty_like(batch)
    for example in np.ndindex(batch.shape[0], *batch.shape[2:]):
        i, *at = example
        vector = (batch[(i, slice(None), *at)] - channels.mean(1)) / channels.std(1)
        z[(i, slice(None), *at)] = vector / np.linalg.norm(vector)
    return z


@pytest.mark.parametrize("shape", [(3, 4, 4), (3,)], ids=["map", "vector"])
def test_the_teachers_channels_are_standardized_by_all_batches_so_far(shape):
    _, side = dense_to_teacher((2, 4, 4), shape)
    side.double()
    batches = [50 + 7 * torch.randn(b, *shape, dtype=torch.float64) for b in (5, 2, 3)]
    for number, batch in enumerate(batches):
        output = side(side.precompute(batch))
        seen = torch.cat(batches[: number + 1]).numpy()
        np.testing.assert_allclose(output.numpy(), expected(seen, batch.numpy()), rtol=1e-7)


def test_a_mean_far_from_zero_costs_no_digits_in_single_precision():
    _, side = dense_to_teacher((2,), (3,))
    batches = [1e4 + torch.randn(64, 3) for _ in range(20)]
    for batch in batches:
        side(side.precompute(batch))
    variance = torch.cat(batches).double().var(0, correction=0)
    torch.testing.assert_close(side.variance.double(), variance, rtol=1e-3, atol=0)


def test_in_evaluation_nothing_is_measured():
    _, side = dense_to_teacher((2, 4, 4), (3, 4, 4))
    side(side.precompute(torch.randn(5, 3, 4, 4)))
    before = {name: x.clone() for name, x in side.state_dict().items()}
    side.eval()(side.precompute(torch.randn(5, 3, 4, 4)))
    assert all(torch.equal(side.state_dict()[name], x) for name, x in before.items())


def test_a_channel_that_never_changes_adds_nothing():
    _, side = dense_to_teacher((2,), (3,))
    batch = torch.randn(8, 3)
    batch[:, 1] = 4.0
    output = side(side.precompute(batch))
    assert output[:, 1].abs().max() < 1e-3
    torch.testing.assert_close(output.norm(dim=1), torch.ones(8))


def test_the_students_side_is_a_convolution_of_unit_length():
    side, _ = dense_to_teacher((2, 16, 16), (3, 8, 8))
    x = torch.randn(4, 2, 16, 16)
    output = side(side.precompute(x))
    pooled = x.view(4, 2, 8, 2, 8, 2).mean((3, 5))
    weight, bias = side.head.weight[:, :, 0, 0], side.head.bias
    plain = torch.einsum("dc,bchw->bdhw", weight, pooled) + bias[:, None, None]
    torch.testing.assert_close(output, plain / plain.norm(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("student", "teacher", "shape"),
    [
        ((2, 32, 32), (3, 32, 32), (3, 8, 8)),
        ((2, 8, 8), (3, 4, 2), (3, 4, 2)),
        ((17, 6), (3, 8, 8), (3, 4, 4)),  # a class token is left out
        ((5, 6), (7, 3), (3, 5, 1)),
        ((2, 8, 8), (3,), (3,)),
        ((6,), (17, 3), (3,)),
    ],
)
def test_shapes_of_unequal_networks_meet(student, teacher, shape):
    sides = dense_to_teacher(student, teacher)
    for side, own in zip(sides, (student, teacher), strict=True):
        assert side(side.precompute(torch.randn(2, *own))).shape == (2, *shape)


def test_what_cannot_meet_is_refused():
    with pytest.raises(MenteeError, match="grid is 0, expected at least 1"):
        dense_to_teacher((2, 4, 4), (3, 4, 4), grid=0)
    with pytest.raises(PairError, match="15 tokens make no square"):
        dense_to_teacher((15, 6), (3, 4, 4))
