"""Association: against loops, toward the attention too, for unequal networks, and as a record."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from mentee.errors import MenteeError, PairError
from mentee.losses import squared
from mentee.representations import semckd
from tests.representations import formulas

STUDENT = ((2, 8, 8), (3, 4, 4))
TEACHER = ((3, 8, 8), (2, 4, 4), (4, 2, 2))
B, EXAMPLES = 5, 8


def said_at(shapes, b=B, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    drawn = (torch.randn(b, *shape, generator=g, dtype=torch.float64) for shape in shapes)
    return tuple(x.to(dtype) for x in drawn)


def built(s_adapter=STUDENT, t_adapter=TEACHER, **numbers):
    torch.manual_seed(3)
    sides = semckd(s_adapter, t_adapter, **({"examples": EXAMPLES} | numbers))
    return tuple(side.double() for side in sides)


def compared(sides, student, teacher):
    s_output, t_adapter = sides
    return s_output.align(
        s_output(s_output.precompute(student)), t_adapter(t_adapter.precompute(teacher))
    )


def loss(sides, student, teacher):
    return squared(*compared(sides, student, teacher))


def weights_of(network):
    """(weight, bias or zeros) of its linear layers or convolutions."""
    layers = [m for m in network if hasattr(m, "weight") and m.weight.ndim > 1]
    biases = [
        np.zeros(len(m.weight)) if m.bias is None else m.bias.detach().numpy() for m in layers
    ]
    return [(m.weight.detach().numpy(), bias) for m, bias in zip(layers, biases, strict=True)]


@pytest.mark.parametrize(("examples", "temperature"), [(8, 1.0), (5, 0.3), (3, 1.0)])
def test_the_loss_equals_the_published_one_in_loops(examples, temperature):
    sides = built(examples=examples, temperature=temperature)
    s_output, (student, teacher) = sides[0], (said_at(STUDENT, seed=1), said_at(TEACHER, seed=2))
    heads = [[weights_of(head) for head in row] for row in s_output.heads]
    expected = formulas.associated(
        [x.numpy() for x in student],
        [x.numpy() for x in teacher],
        [weights_of(net) for net in s_output.queries],
        [weights_of(net) for net in s_output.keys],
        heads,
        examples,
        temperature,
    )
    got = loss(sides, student, teacher).detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_the_gradient_is_that_of_the_published_loss_toward_maps_heads_and_attention():
    """Written out with weights α, whose own slope counts, in place of √α on both sides."""
    sides = built()
    s_output, (student, teacher) = sides[0], (said_at(STUDENT, seed=1), said_at(TEACHER, seed=2))
    student = tuple(x.requires_grad_() for x in student)

    def published():
        rows = [x.flatten(1) for x in (*student, *teacher)]
        names = [*s_output.queries, *s_output.keys]
        query = [
            torch.nn.functional.normalize(
                net(torch.nn.functional.pad(x @ x.T, (0, EXAMPLES - B))), dim=1
            )
            for net, x in zip(names, rows, strict=True)
        ]
        queries, keys = torch.stack(query[:2], 1), torch.stack(query[2:], 2)
        alpha = (queries @ keys).softmax(2)
        total = 0.0
        for i, s in enumerate(student):
            for j, t in enumerate(teacher):
                size = min(s.shape[2], t.shape[2])
                s2, t2 = (torch.nn.functional.adaptive_avg_pool2d(x, size) for x in (s, t))
                gap = (s_output.heads[i][j](s2) - t2).square().flatten(1).mean(1)
                total = total + alpha[:, i, j] * gap
        return (total / len(student)).sum()

    learned = [*student, *s_output.parameters()]
    expected = torch.autograd.grad(published(), learned)
    got = torch.autograd.grad(loss(sides, student, teacher).sum(), learned)
    assert all(slope.abs().sum() > 0 for slope in expected)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_it_has_the_gradient_it_says():
    sides, teacher = built(((1, 2, 2), (2, 1, 1)), ((2, 2, 2),)), said_at(((2, 2, 2),), seed=2)
    student = tuple(x.requires_grad_() for x in said_at(((1, 2, 2), (2, 1, 1)), seed=1))
    assert gradcheck(lambda *x: loss(sides, x, teacher), student, fast_mode=True)


def test_the_teachers_side_is_fixed_and_kept_no_finer_than_the_student_is():
    _, t_adapter = built(((2, 4, 4),), TEACHER)
    assert t_adapter.reduction == "maps of 4x4 4x4 2x2"
    assert not list(t_adapter.parameters())
    x = said_at(TEACHER)
    fine = x[0].reshape(B, 3, 4, 2, 4, 2).mean((3, 5))
    expected = torch.cat([each.flatten(1) for each in (fine, *x[1:])], 1)
    torch.testing.assert_close(t_adapter.precompute(x), expected)


def drawn_at(shapes):
    """Of one place alone a tensor, as the engine reads it."""
    if isinstance(shapes[0], int):
        return said_at([shapes], seed=4)[0].requires_grad_()
    return [x.requires_grad_() for x in said_at(shapes, seed=4)]


@pytest.mark.parametrize(
    ("s_adapter", "t_adapter"),
    [
        (((2, 8, 8),), ((3, 4, 4),)),
        ((2, 8, 8), ((3, 4, 4), (3, 2, 2))),
        (STUDENT, ((17, 6), (16, 6))),
        (((17, 6), (17, 6)), TEACHER),
        (((9, 6),), ((7, 4), (5, 4))),
        (((2, 8, 4),), ((3, 4, 8), (3, 9, 9))),
    ],
)
def test_any_two_networks_meet(s_adapter, t_adapter):
    s_output, other = sides = built(s_adapter, t_adapter)
    x, y = (drawn_at(each) for each in (s_adapter, t_adapter))
    output, target = compared(sides, x, y)
    assert output.shape == target.shape
    squared(output, target.detach()).sum().backward()
    assert all(z.grad.abs().sum() > 0 for z in (x if isinstance(x, list) else [x]))
    assert other.precompute(y).shape[0] == B
    assert all(torch.isfinite(p.grad).all() for p in s_output.parameters())


@pytest.mark.parametrize("b", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e4])
def test_it_is_finite_at_the_corners(b, dtype, scale):
    s_output, t_adapter = (side.to(dtype) for side in built())
    x = tuple((scale * each).requires_grad_() for each in said_at(STUDENT, b, dtype=dtype))
    y = tuple(scale * each for each in said_at(TEACHER, b, seed=2, dtype=dtype))
    value = loss((s_output, t_adapter), x, y)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert all(torch.isfinite(each.grad).all() for each in x)
    assert all(torch.isfinite(p.grad).all() for p in s_output.parameters())


@pytest.mark.parametrize("numbers", [{"examples": 0}, {"temperature": 0.0}])
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(MenteeError, match=r"semckd: examples is .* expected at least 1, and"):
        built(**numbers)


def test_a_vector_is_refused():
    with pytest.raises(PairError, match="semckd: the teacher's feature is one vector of 8"):
        built(STUDENT, (*TEACHER, (8,)))
