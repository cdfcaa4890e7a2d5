"""A representation of another: the value in loops, what is fixed, and who trains what."""

import numpy as np
import pytest
import torch

from mentee.distillation.objective import DistillationLoss
from mentee.errors import MenteeError, PairError
from mentee.methods import Component, Method, Term
from mentee.representations import Compose, attention, paraphraser, project, regressor
from mentee.training.adapter_pretraining import pretrain
from mentee.types import Batch, Statistics
from tests.representations.formulas import unit

STUDENT, TEACHER = (3, 4, 4), (5, 4, 4)
PROJECT = Component("project", {"width": 6})
MEMORY = Component("bank", {"negatives": 4})


def maps(shape, b=4, seed=0):
    return torch.randn(b, *shape, generator=torch.Generator().manual_seed(seed))


def test_the_outer_reads_what_the_inner_says():
    """project of attention: a head over the map's mean squares, in loops."""
    inner, outer = attention(STUDENT, TEACHER), project((16,), (16,), width=6)
    side, x = Compose(inner[1], outer[1]), maps(TEACHER)
    weight, bias = (p.detach().numpy() for p in outer[1].head.parameters())
    for b, row in enumerate(side(side.precompute(x)).detach().numpy()):
        attended = unit(
            np.array([(x[b, :, i, j].numpy() ** 2).mean() for i in range(4) for j in range(4)])
        )
        np.testing.assert_allclose(row, unit(weight @ attended + bias), atol=1e-6)


def test_what_neither_trains_is_fixed():
    """A record keeps the pooled map of a regressed pair, and shares it with plain project."""
    inner, outer = regressor((3, 16, 16), (5, 16, 16)), project((5, 16, 16), (5, 16, 16))
    teacher = Compose(inner[1], outer[1])
    assert teacher.reduction == outer[1].reduction == "2x2 cells"
    assert teacher.precompute(maps((5, 16, 16))).shape == (4, 5 * 4)
    student = Compose(inner[0], outer[0])  # a convolution stands between: its input is kept
    assert student.reduction == ""
    assert student.precompute(maps((3, 16, 16))).shape == (4, 3, 16, 16)
    both = Compose(attention(STUDENT, TEACHER)[1], project((16,), (16,))[1])
    assert both.reduction == "attention 2 of 4x4"


def bound(term, **more):
    labels = torch.arange(8) % 3
    known = {"groups": labels, "examples": 8, "classes": 3}
    row = Method("one", (term,))
    return DistillationLoss(
        row, {"at": STUDENT, "v": (3,)}, {"at": TEACHER, "v": (5,)}, **known, **more
    )


def batch():
    rows = torch.arange(4)
    return Batch(torch.zeros(4, 1), rows, rows, rows % 3)


def test_an_inner_side_that_learns_alone_is_taught_by_its_own_loss_only():
    compressed = Component("compress", {"width": 2})
    term = Term(
        "v", Component("contrast"), 1.0, Component("project", {"width": 6}, compressed), MEMORY
    )
    statistics = Statistics(torch.zeros(5), torch.ones(5), torch.eye(5), torch.ones(5))
    criterion = bound(term, statistics=lambda place: statistics)
    criterion.begin(batch(), 0)
    student, teacher = {"v": maps((3,))}, {"v": maps((5,), seed=1)}
    losses = criterion(student, criterion.precompute(teacher), batch())
    side = criterion.adapters_of(criterion.bound_terms[0])[1]
    assert set(losses) == {"contrast/v", "own/contrast/v"}
    losses["contrast/v"].backward(retain_graph=True)
    assert all(p.grad is None for p in side.inner.parameters())
    assert all(p.grad.any() for p in side.outer.parameters())
    losses["own/contrast/v"].backward()
    assert all(p.grad is not None for p in side.inner.parameters())


def test_an_inner_side_that_learns_first_is_frozen_and_the_outer_one_is_not():
    inner, outer = paraphraser(STUDENT, TEACHER, steps=3), project((16,), (16,))
    side = Compose(inner[1], outer[1])
    before = {name: p.clone() for name, p in side.named_parameters()}
    assert side.steps == 3
    pretrain(side.aux_module, maps(TEACHER, b=8), None, None)
    moved = {name for name, p in side.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if name.startswith("inner")}
    free = {name for name, p in side.named_parameters() if p.requires_grad}
    assert free == {name for name in before if name.startswith("outer")}


def test_the_whole_chain_is_named_where_names_would_be_the_same():
    words = [PROJECT, Component("project", {"width": 6}, Component("attention"))]
    terms = tuple(Term("at", Component("contrast"), 1.0, word, MEMORY) for word in words)
    row = Method("two", terms)
    labels = torch.arange(8) % 3
    criterion = DistillationLoss(row, {"at": STUDENT}, {"at": TEACHER}, groups=labels, examples=8)
    assert [b.name for b in criterion.bound_terms] == [
        "contrast/at",
        "contrast/at (project of attention)",
    ]


@pytest.mark.parametrize(
    ("word", "error", "text"),
    [
        (Component("project", of=Component("atention")), MenteeError, "did you mean 'attention'"),
        (
            Component("project", of=Component("attention", {"pover": 2})),
            MenteeError,
            "did you mean 'power'",
        ),
        (
            Component("feature_maps", of=Component("attention")),
            PairError,
            "the student's feature is one vector of 16",
        ),
    ],
)
def test_a_chain_that_makes_no_sense_is_refused(word, error, text):
    with pytest.raises(error, match=text):
        bound(Term("at", Component("contrast"), 1.0, word, MEMORY))
