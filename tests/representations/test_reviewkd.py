"""Review: what is fused reaches every place, and pyramids add up to the published loss."""

import numpy as np
import pytest
import torch

from mentee.errors import PairError
from mentee.losses import hcl, squared
from mentee.representations import reviewkd
from mentee.representations.reviewkd import pyramids

STUDENT = ((4, 8, 8), (6, 4, 4), (8, 2, 2), (8,))
TEACHER = ((5, 16, 16), (7, 8, 8), (9, 1, 1), (12,))


def said_at(shapes, b=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(b, *shape, generator=g) for shape in shapes)


def test_pyramids_add_up_to_the_sum_of_the_hierarchical_loss():
    maps = [(3, 9, 9), (5, 4, 4), (2, 3, 3), (4, 1, 1)]
    x, y = ([each.double() for each in said_at(maps, seed=seed)] for seed in (1, 2))
    expected = sum(hcl(a, b) for a, b in zip(x, y, strict=True))
    got = squared(pyramids(x), pyramids(y))
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-9)


def test_any_two_networks_meet():
    s_adapter, t_adapter = reviewkd(STUDENT, TEACHER)
    got = s_adapter(s_adapter.precompute(said_at(STUDENT)))
    fixed = t_adapter.precompute(said_at(TEACHER))
    assert got.shape == t_adapter(fixed).shape
    assert t_adapter.reduction == "pyramids"
    assert not list(t_adapter.parameters())


def test_a_finer_map_of_the_teacher_teaches_all_coarser_places_of_the_student():
    s_adapter, t_adapter = reviewkd(STUDENT, TEACHER)
    x = tuple(each.requires_grad_() for each in said_at(STUDENT))
    output, size = (
        s_adapter(s_adapter.precompute(x)),
        t_adapter.precompute(said_at(TEACHER[:1] + TEACHER[1:])),
    )
    finest = 5 * (256 + 16 + 4 + 1)
    assert output.shape == size.shape
    output[:, :finest].square().sum().backward()
    assert all(each.grad.abs().sum() > 0 for each in x)
    x = tuple(each.requires_grad_() for each in said_at(STUDENT))
    s_adapter(s_adapter.precompute(x))[:, -12:].square().sum().backward()
    assert [each.grad is not None and bool(each.grad.any()) for each in x] == [False] * 3 + [True]


def test_every_head_is_trained():
    s_adapter, t_adapter = reviewkd(STUDENT, TEACHER)
    loss = squared(
        s_adapter(s_adapter.precompute(said_at(STUDENT))), t_adapter.precompute(said_at(TEACHER))
    )
    loss.mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in s_adapter.parameters())


@pytest.mark.parametrize("b", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e4])
def test_it_is_finite_at_the_corners(b, dtype, scale):
    s_adapter, _ = reviewkd(STUDENT, TEACHER)
    s_adapter.to(dtype)
    x = tuple((scale * each).to(dtype).requires_grad_() for each in said_at(STUDENT, b))
    output = s_adapter(s_adapter.precompute(x))
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert all(torch.isfinite(each.grad).all() for each in x)


def test_one_place_is_refused():
    with pytest.raises(PairError, match="reviewkd reads several layers together; name them with &"):
        reviewkd((3, 8, 8), (3, 8, 8))
