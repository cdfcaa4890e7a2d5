"""Flow: against loops, for unequal networks, and where it cannot be."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from mentee.errors import PairError
from mentee.representations import fsp
from tests.representations import formulas

SHAPES = ((2, 4, 4), (3, 4, 4), (5, 2, 2))


def said_at(shapes, b=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(b, *shape, generator=g, dtype=torch.float64) for shape in shapes)


def test_it_equals_its_formula_in_loops():
    for side in fsp(SHAPES, SHAPES):
        x = said_at(SHAPES)
        got = side(side.precompute(x)).numpy()
        for example in range(3):
            first, second, third = (each[example].numpy() for each in x)
            coarse = second.reshape(3, 2, 2, 2, 2).mean((2, 4))
            expected = [formulas.flow([first, second]), formulas.flow([coarse, third])]
            np.testing.assert_allclose(got[example], np.concatenate(expected), rtol=1e-9)


def test_the_teachers_side_is_fixed_and_the_students_gets_the_gradient():
    s_adapter, t_adapter = fsp(SHAPES, SHAPES)
    assert t_adapter.reduction == "flow"
    assert not list(t_adapter.parameters())
    assert not list(s_adapter.parameters())
    x = tuple(each.requires_grad_() for each in said_at(SHAPES))
    assert gradcheck(lambda *x: s_adapter(s_adapter.precompute(x)), x, fast_mode=True)


def test_other_channels_and_resolutions_meet_through_convolutions():
    teacher = ((4, 8, 8), (3, 4, 4), (7, 4, 4))
    s_adapter, t_adapter = fsp(SHAPES, teacher)
    heads = [type(head) for head in s_adapter.heads]
    assert heads == [nn.Conv2d, nn.Identity, nn.Conv2d]
    s_adapter.double()
    got = s_adapter(s_adapter.precompute(said_at(SHAPES)))
    assert (
        got.shape == t_adapter(t_adapter.precompute(said_at(teacher))).shape == (3, 4 * 3 + 3 * 7)
    )


@pytest.mark.parametrize("b", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e4])
def test_it_is_finite_at_the_corners(b, dtype, scale):
    s_adapter, _ = fsp(SHAPES, SHAPES)
    x = tuple((scale * each).to(dtype).requires_grad_() for each in said_at(SHAPES, b))
    output = s_adapter(s_adapter.precompute(x))
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert all(torch.isfinite(each.grad).all() for each in x)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ((3, 8, 8), "fsp reads several layers together; name them with &"),
        (((3, 8, 8),), "reads each two layers in turn, and there is one only"),
        (((3, 8, 8), (5,)), "the student's feature is one vector of 5"),
    ],
)
def test_what_is_no_row_of_maps_is_refused(shapes, text):
    with pytest.raises(PairError, match=text):
        fsp(shapes, shapes)
