"""Sides: what has no parts, and what each says of its fixed part."""

from itertools import combinations

import pytest
import torch
from torch import nn

from mentee.distillation.terms import takes
from mentee.representations import REPRESENTATIONS, Adapter, PairInfo, as_is
from mentee.types import Statistics

MAPS = (
    "feature_maps",
    "attention",
    "regressor",
    "gaussian",
    "margin_relu",
    "paraphraser",
    "dense_project",
)
READS = {"frames": (2, 3), "standardized": (1,), "fsp": (), "reviewkd": (), "semckd": (2, 3)}
READS |= dict.fromkeys(MAPS, (2, 3))
SHAPES = {"map": (6, 8, 8), "tokens": (5, 6), "vector": (6,)}


def test_as_is_changes_nothing():
    for side in as_is((3, 4, 4), (5,)):
        x = torch.randn(2, 3)
        assert side(side.precompute(x)) is x
        assert not list(side.parameters())
        assert side.reduction == ""


def known():
    measured = Statistics(torch.zeros(6), torch.ones(6), torch.eye(6), torch.ones(6))
    return PairInfo(classes=3, measure=lambda: measured)


def sides_of(shape):
    """The teacher's side of every representation that reads this shape."""
    numbers = {"pca": {"width": 2}, "random": {"width": 2}}
    for name, build in REPRESENTATIONS.items():
        if name == "compressed_logits" or len(shape) not in READS.get(name, (1, 2, 3)):
            continue
        query = {"pair_info": known()} if takes(build, "pair_info") else {}
        yield name, build(shape, shape, **numbers.get(name, {}), **query)[1]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_equal_reductions_are_equal_fixed_parts(shape):
    """So that a record may keep one for all of them."""
    x = torch.randn(4, *shape)
    sides = dict(sides_of(shape))
    assert len(sides) >= 6
    for side in sides.values():
        assert side.reduction is not None
        if side.reduction == "":
            assert torch.equal(side.precompute(x), x)
    for (_, a), (_, b) in combinations(sides.items(), 2):
        if a.reduction == b.reduction:
            torch.testing.assert_close(a.precompute(x), b.precompute(x))
        assert a.precompute(x).shape == b.precompute(x).shape or a.reduction != b.reduction


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_fixed_part_has_no_parameters_and_no_memory_of_the_batch(shape):
    x = torch.randn(4, *shape)
    for _, side in sides_of(shape):
        alone = torch.cat([side.precompute(each[None]) for each in x])
        torch.testing.assert_close(alone, side.precompute(x))
        assert not side.precompute(x).requires_grad


class Own(Adapter):
    """Somebody's side that says nothing of its fixed part."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 2)

    def precompute(self, features):
        return features.amax((2, 3))


def test_a_fixed_part_that_nothing_is_said_of_is_not_taken_for_another():
    assert Own().reduction is None
    assert Adapter().reduction == ""
