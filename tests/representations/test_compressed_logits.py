"""Soft labels of the compressor's own probe: one module, trained by its own loss alone."""

import pytest
import torch

from mentee.distillation.objective import DistillationLoss
from mentee.errors import PairError
from mentee.losses import LOSSES
from mentee.methods import METHODS, Component, Method, Term, adjust, find
from tests.representations.test_embedding_compression import (
    CLASSES,
    B,
    D,
    batch,
    bind,
    says,
    statistics,
)

COMPRESS = Term(
    "embedding", Component("distance_correlation"), 0.42, Component("compress", {"width": 4})
)
SOFT = Term(("logits", "embedding"), Component("kl"), 0.18, Component("compressed_logits"))


def sides(criterion):
    """The teacher's side of each term by its representation."""
    return {
        bound.term.representation.name: criterion.adapters_of(bound)[1]
        for bound in criterion.bound_terms
    }


@pytest.mark.parametrize("terms", [(COMPRESS, SOFT), (SOFT, COMPRESS)])
def test_they_are_those_of_the_compressors_probe_in_any_order_of_the_terms(terms):
    criterion = bind(Method("own", terms))
    result = sides(criterion)
    assert result["compressed_logits"].compressor is result["compress"]
    x = torch.randn(B, D)
    expected = result["compress"].probe(result["compress"](x))
    assert torch.equal(result["compressed_logits"](x), expected)
    assert result["compressed_logits"].reduction == result["compress"].reduction


@pytest.mark.parametrize("row", ["ec-kd", "ec-binary-kd"])
def test_nothing_is_saved_or_trained_twice(row):
    criterion, alone = bind(find(row)), bind(find("ec"))
    assert criterion.state_dict().keys() == alone.state_dict().keys()
    assert len(list(criterion.parameters())) == len(list(alone.parameters()))
    names = {name for name in criterion.weights if name.startswith("own/")}
    assert names == {"own/distance_correlation/embedding"}


@pytest.mark.parametrize("agree", ["kl", "binary_kd", "mse", "cosine", "contrast"])
def test_the_students_loss_reaches_neither_compressor_nor_probe(agree):
    """Also not through the contrast, which trains any other head on the teacher's side."""
    memory = Component("batch") if LOSSES[agree].memory != "no" else None
    soft = Term(SOFT.layers, Component(agree), 1.0, SOFT.representation, memory)
    criterion = bind(Method("own", (soft, COMPRESS)))
    student, teacher, losses = says(criterion)
    losses[f"{agree}/logits~embedding"].backward()
    assert all(p.grad is None for p in criterion.parameters())
    assert teacher["embedding"].grad is None
    assert student["logits"].grad.abs().max() > 0
    assert student["embedding"].grad is None


def test_the_own_loss_moves_what_is_said():
    criterion = bind(find("ec-kd"))
    _, teacher, losses = says(criterion)
    side, x = sides(criterion)["compressed_logits"], teacher["embedding"].detach()
    before = side(x)
    losses["own/distance_correlation/embedding"].backward()
    torch.optim.SGD(criterion.parameters(), lr=1.0).step()
    assert not torch.equal(side(x), before)


def test_several_records_have_a_compressor_each():
    places = ("embedding.a", "embedding.b")
    terms = tuple(
        Term((term.layer_pair[0], place), term.loss, term.weight / 2, term.representation)
        for term in (SOFT, COMPRESS)
        for place in places
    )
    shapes = {"embedding": (16,), "logits": (CLASSES,)}, dict.fromkeys(places, (D,))
    more = {"classes": CLASSES, "statistics": statistics, "groups": None, "examples": B}
    criterion = DistillationLoss(Method("own", terms), *shapes, **more)
    t_adapter = {
        (b.term.representation.name, str(b.pair.teacher)): criterion.adapters_of(b)[1]
        for b in criterion.bound_terms
    }
    for place in places:
        read = t_adapter["compressed_logits", place].compressor
        assert read is t_adapter["compress", place]


def test_of_time_frames_the_mean_is_probed():
    compress = Component("compress", {"width": 4, "per_frame": True})
    terms = (
        Term(("embedding", "frames"), Component("distance_correlation"), 1.0, compress),
        Term(("logits", "frames"), Component("kl"), 1.0, Component("compressed_logits")),
    )
    criterion = DistillationLoss(
        Method("own", terms),
        {"embedding": (6, 5, 10), "logits": (CLASSES,)},
        {"frames": (3, D)},
        groups=None,
        examples=B,
        classes=CLASSES,
        statistics=statistics,
    )
    student = {"embedding": torch.randn(B, 6, 5, 10), "logits": torch.randn(B, CLASSES)}
    fixed = criterion.precompute({"frames": torch.randn(B, 3, D)})
    criterion.begin(batch(), 0)
    losses = criterion(student, fixed, batch())
    assert all(torch.isfinite(value) for value in losses.values())
    result, frames = sides(criterion), fixed["kl/logits~frames"]
    expected = result["compress"].probe(result["compress"](frames).mean(1))
    assert torch.equal(result["compressed_logits"](frames), expected)


@pytest.mark.parametrize(
    ("method", "count"),
    [
        (Method("own", (SOFT,)), "none"),
        (Method("own", (SOFT, *METHODS["probe-kd"].terms, *METHODS["east"].terms)), "none"),
        (adjust(Method("own", (SOFT, COMPRESS)), {}, {"embedding": 0.0}), "none"),
        (
            Method(
                "own",
                (SOFT, COMPRESS, Term("embedding", Component("cka"), 1.0, COMPRESS.representation)),
            ),
            "2",
        ),
    ],
)
def test_without_one_compressor_at_the_place_they_are_refused(method, count):
    text = rf"compress term, and at this layer of the teacher there are {count}; expected one"
    with pytest.raises(PairError, match=text):
        bind(method)
