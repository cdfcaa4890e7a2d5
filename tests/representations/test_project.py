"""Pool, flatten, head, unit: against loops, other people's numbers, and what it refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck

from mentee.errors import MenteeError, PairError
from mentee.representations import project
from mentee.representations.project import cells
from tests.representations import formulas

SHAPES = {
    "vector": (7,),
    "tokens": (5, 6),
    "one token": (1, 6),
    "one pixel": (3, 1, 1),
    "small map": (4, 5, 7),
    "map": (3, 16, 17),
    "large map": (2, 40, 33),
}


def layers(side):
    head = [side.head] if isinstance(side.head, nn.Linear) else [side.head[0], side.head[2]]
    return [(each.weight.detach().numpy(), each.bias.detach().numpy()) for each in head]


def read(shape, b=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(b, *shape, dtype=torch.float64, generator=g)


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("grid", [None, 1, 3])
@pytest.mark.parametrize("kind", SHAPES)
def test_equals_the_formula_in_loops(kind, grid, head):
    """Whatever the other side is: here one of another width, resolution and kind."""
    other = (9,) if len(SHAPES[kind]) != 1 else (3, 12, 12)
    for number, shapes in enumerate([(SHAPES[kind], other), (other, SHAPES[kind])]):
        side = project(*shapes, width=10, head=head, grid=grid)[number].double()
        x = read(SHAPES[kind])
        got = side(side.precompute(x)).detach().numpy()
        expected = [formulas.project(example, layers(side), grid) for example in x.numpy()]
        assert got.shape == (3, 10)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(
    c=st.integers(1, 3),
    h=st.integers(1, 40),
    w=st.integers(1, 40),
    grid=st.sampled_from([None, 1, 2, 5]),
)
def test_the_fixed_part_is_the_mean_of_each_cell(c, h, w, grid):
    side = project((c, h, w), (4,), width=2, grid=grid)[0]
    x = read((c, h, w), b=1, seed=h * 41 + w)
    np.testing.assert_allclose(
        side.precompute(x).numpy()[0], formulas.pooled(x.numpy()[0], grid), rtol=1e-9, atol=1e-12
    )
    assert cells((h, w), grid) == (formulas.cells(h, grid), formulas.cells(w, grid))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_batch_axis_equals_the_published_code(reference, seed):
    """Norm over the batch, zero channels on both sides, average pool, flatten; both gradients."""
    z = np.load(reference / f"cktf_module_transform_seed{seed}.npz")
    student, teacher = (torch.from_numpy(z[f"in_{side}"]) for side in ("student", "teacher"))
    sides = project(tuple(student.shape[1:]), tuple(teacher.shape[1:]), batch_axis=True)
    total = 0.0
    for side, x, name in zip(sides, (student, teacher), ("student", "teacher"), strict=True):
        x.requires_grad_()
        out = side.precompute(x)
        np.testing.assert_allclose(out.detach().numpy(), z[f"out_{name}"], rtol=1e-9, atol=1e-12)
        slope = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).reshape(out.shape)
        loss = (slope * out).sum()
        loss.backward()
        total += loss.item()
        np.testing.assert_allclose(x.grad.numpy(), z[f"grad_{name}"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(total, z["loss"], rtol=1e-9)


def test_the_fixed_part_has_no_parameters_and_the_rest_can_be_trained():
    student, teacher = project((3, 8, 8), (5, 6), width=4)
    x = read((3, 8, 8)).requires_grad_()
    fixed = student.double().precompute(x)
    fixed.sum().backward()
    assert all(p.grad is None for p in student.parameters())
    student(fixed.detach()).sum().backward()
    assert all(p.grad is not None for p in student.parameters())
    shared = {id(p) for p in student.parameters()} & {id(p) for p in teacher.parameters()}
    assert not shared


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("kind", ["vector", "tokens", "small map"])
def test_gradient(kind, head):
    side = project(SHAPES[kind], (2,), width=3, head=head)[0].double()
    x = read(SHAPES[kind], b=2).requires_grad_()
    assert gradcheck(lambda z: side(side.precompute(z)), (x,))


def test_without_the_batch_axis_an_example_does_not_depend_on_its_batch():
    x = read((3, 16, 16), b=4)
    for batch_axis in (False, True):
        side = project((3, 16, 16), (3, 16, 16), batch_axis=batch_axis)[0]
        alone, together = side.precompute(x[:2]), side.precompute(x)[:2]
        assert torch.equal(alone, together) is not batch_axis


def test_the_batch_axis_leaves_vectors_and_tokens_alone():
    for shape in ((7,), (5, 6)):
        plain, other = (project(shape, shape, batch_axis=on)[0] for on in (False, True))
        x = read(shape)
        assert torch.equal(plain.precompute(x), other.precompute(x))


@pytest.mark.parametrize(
    ("student", "teacher"), [((16, 8, 8), (16, 4, 4)), ((32, 8, 8), (16, 8, 8))]
)
def test_a_pair_that_the_batch_axis_does_not_fit_is_refused(student, teacher):
    with pytest.raises(PairError, match=r"batch_axis pads .* needs equal resolution and no more"):
        project(student, teacher, batch_axis=True)
    project(student, teacher)


@pytest.mark.parametrize("name", ["width", "grid"])
@pytest.mark.parametrize("number", [0, -3])
def test_a_number_below_one_is_refused(name, number):
    with pytest.raises(MenteeError, match=rf"{name} is {number}, expected at least 1"):
        project((3, 8, 8), (3, 8, 8), **{name: number})
