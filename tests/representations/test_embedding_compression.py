"""Embedding compression: what learns from what, and the options."""

import numpy as np
import pytest
import torch
from torch import nn

from mentee.distillation.objective import DistillationLoss
from mentee.errors import MenteeError, PairError
from mentee.losses import LOSSES
from mentee.methods import Component, Method, Term, adjust, find
from mentee.representations import PairInfo, compress, probe
from mentee.types import Batch, Statistics

D, B, CLASSES = 20, 8, 3


def statistics(place="embedding"):
    return Statistics(torch.full((D,), 2.0), torch.arange(1.0, D + 1), torch.eye(D), torch.ones(D))


KNOWN = PairInfo(CLASSES, lambda: statistics(), seed=1)


def batch(**more):
    ids = torch.arange(B)
    return Batch(torch.zeros(B, 1), ids, ids, labels=ids % CLASSES, **more)


def bind(method, *, teacher=(D,), student=(16,)):
    return DistillationLoss(
        method,
        {"embedding": student, "logits": (CLASSES,)},
        {"embedding": teacher},
        groups=torch.arange(B) % CLASSES,
        examples=B,
        classes=CLASSES,
        statistics=statistics,
        seed=3,
    )


def says(criterion, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student = {
        "embedding": torch.randn(B, 16, generator=generator).requires_grad_(),
        "logits": torch.randn(B, CLASSES, generator=generator).requires_grad_(),
    }
    teacher = {"embedding": (2 + 3 * torch.randn(B, D, generator=generator)).requires_grad_()}
    criterion.begin(batch(), 0)
    return student, teacher, criterion(student, criterion.precompute(teacher), batch())


EC_ROWS = ["ec-published", "ec-published+probe-kd", "ec-kd", "ec-binary-kd"]


@pytest.mark.parametrize(
    ("agree", "head"),
    [
        ("distance_correlation", "none"),
        ("cosine_distance_difference", "none"),
        ("cka", "none"),
        ("cosine", "linear"),
        ("mse", "mlp"),
        ("contrast", "linear"),
    ],
)
def test_the_students_loss_reaches_neither_compressor_nor_teacher(agree, head):
    """Also not through the contrast, which trains any other head on the teacher's side."""
    memory = Component("batch") if LOSSES[agree].memory != "no" else None
    word = Component("compress", {"width": 4, "student_head": head})
    criterion = bind(Method("m", (Term("embedding", Component(agree), 1.0, word, memory),)))
    student, teacher, losses = says(criterion)
    bound = criterion.bound_terms[0]
    losses[bound.name].backward()
    _, t_adapter = criterion.adapters_of(bound)
    assert all(p.grad is None for p in t_adapter.parameters())
    assert teacher["embedding"].grad is None
    assert student["embedding"].grad.abs().max() > 0


@pytest.mark.parametrize("row", EC_ROWS)
def test_the_own_loss_reaches_the_compressor_alone(row):
    criterion = bind(find(row))
    student, teacher, losses = says(criterion)
    own = [value for name, value in losses.items() if name.startswith("own/")]
    torch.stack(own).sum().backward()
    _, t_adapter = criterion.adapters_of(criterion.bound_terms[0])
    assert all(p.grad is not None for p in t_adapter.parameters())
    assert teacher["embedding"].grad is None
    assert all(x.grad is None for x in student.values())


def test_the_own_loss_is_the_cross_entropy_of_the_probe():
    criterion = bind(find("ec-published"))
    _, teacher, losses = says(criterion)
    _, side = criterion.adapters_of(criterion.bound_terms[0])
    layers = [m for m in side.modules() if isinstance(m, nn.Linear)]
    (w, b), (p, q) = [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in layers]
    total = 0.0
    for i, row in enumerate(teacher["embedding"].detach().numpy().astype(np.float64)):
        logits = p @ (w @ ((row - 2) / np.arange(1, D + 1)) + b) + q
        total += np.log(np.exp(logits).sum()) - logits[i % CLASSES]
    np.testing.assert_allclose(losses["own/distance_correlation/embedding"].item(), total / B, 1e-5)


@pytest.mark.parametrize("learn", ["joint", "first"])
@pytest.mark.parametrize("build", [compress, probe])
def test_the_student_follows_what_is_said_without_dropout(build, learn):
    _, plain = build((CLASSES,), (D,), pair_info=KNOWN, width=4, learn=learn)
    _, side = build((CLASSES,), (D,), pair_info=KNOWN, width=4, learn=learn, dropout=0.5)
    side.load_state_dict(plain.state_dict())
    x = torch.randn(B, D)
    assert torch.equal(side.train()(x), plain(x))
    assert not torch.equal(side.aux_input(x, side(x)), side.aux_input(x, side(x)))
    assert torch.equal(side.eval().aux_input(x, side(x)), plain(x))
    assert torch.equal(plain.train().aux_input(x, plain(x)), plain(x))


def test_a_small_gain_leaves_what_the_labels_put_into_the_compact_vector():
    """One entry of twenty tells the class; as random layers begin, most of c is the other ones."""

    def share_of_classes(gain):
        torch.manual_seed(0)
        labels = torch.arange(300) % CLASSES
        x = torch.randn(300, D)
        x[:, 0] = labels - 1.0 + 0.3 * torch.randn(300)
        x = 2 + x * torch.arange(1.0, D + 1)
        _, side = compress((16,), (D,), pair_info=KNOWN, width=8, gain=gain)
        optimizer = torch.optim.AdamW(side.parameters(), lr=3e-3)
        for _ in range(40):
            optimizer.zero_grad()
            nn.functional.cross_entropy(side.logits(side(x)), labels).backward()
            optimizer.step()
        c = side(x).detach()
        c = c - c.mean(0)
        between = torch.stack([c[labels == k].mean(0) for k in range(CLASSES)])
        return (between.square().sum() * 300 / CLASSES / c.square().sum()).item()

    assert share_of_classes(0.01) > 1.8 * share_of_classes(1.0)


def test_a_gain_below_zero_is_refused():
    with pytest.raises(MenteeError, match=r"gain is -1\.0, expected 0 or more"):
        compress((16,), (D,), pair_info=KNOWN, gain=-1.0)


def test_dropout_is_of_the_own_loss_alone():
    """Where nothing is learned any more, nothing is left out either."""
    numbers = {"compress.dropout": 0.5, "compress.freeze": 5}
    plain, left_out = (bind(adjust(find("ec-published"), each, {})) for each in ({}, numbers))
    name, own = "distance_correlation/embedding", "own/distance_correlation/embedding"
    (_, _, whole), (_, _, some) = says(plain), says(left_out.train())
    assert torch.equal(some[name], whole[name])
    assert some[own] != whole[own]
    student, teacher, _ = says(left_out)
    left_out.begin(batch(), 5)
    frozen = left_out(student, left_out.precompute(teacher), batch())
    assert torch.equal(frozen[name], whole[name])
    assert frozen[own] == 0


def test_frozen_after_a_step_it_learns_no_more():
    criterion = bind(adjust(find("ec-published"), {"compress.freeze": 5}, {}))
    _, _, before = says(criterion)
    assert before["own/distance_correlation/embedding"].requires_grad
    student, teacher, _ = says(criterion)
    criterion.begin(batch(), 5)
    after = criterion(student, criterion.precompute(teacher), batch())[
        "own/distance_correlation/embedding"
    ]
    assert not after.requires_grad
    assert after == 0


def test_learned_first_it_is_frozen_from_the_beginning():
    criterion = bind(adjust(find("ec"), {"compress.steps": 30}, {}))
    _, _, losses = says(criterion)
    _, t_adapter = criterion.adapters_of(criterion.bound_terms[0])
    assert t_adapter.steps == 30
    assert not any(p.requires_grad for p in t_adapter.parameters())
    assert list(losses) == ["distance_correlation/embedding", "soft_labels/logits~embedding"]


def test_a_probe_says_logits_of_this_tasks_classes():
    s_adapter, t_adapter = probe((CLASSES,), (D,), pair_info=KNOWN, width=4)
    x = torch.randn(B, D)
    assert t_adapter(t_adapter.precompute(x)).shape == (B, CLASSES)
    assert s_adapter(s_adapter.precompute(x)) is x


def test_frames_are_compressed_one_by_one_and_probed_by_their_mean():
    s_adapter, t_adapter = compress((6, 5, 10), (3, D), pair_info=KNOWN, width=4, per_frame=True)
    output = t_adapter(t_adapter.precompute(torch.randn(2, 3, D)))
    assert output.shape == (2, 9, 4)
    assert s_adapter(s_adapter.precompute(torch.randn(2, 6, 5, 10))).shape == (2, 9, 6)
    logits = []
    t_adapter.aux_loss(output, lambda z: logits.append(z) or z.sum(1), 0)
    torch.testing.assert_close(logits[0], t_adapter.probe(output.mean(1)))


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"width": 0}, "width is 0, expected at least 1"),
        ({"depth": 0}, "depth is 0, expected at least 1"),
        ({"dropout": 1.0}, r"dropout is 1.0, expected a share in \[0, 1\)"),
        ({"learn": "first", "steps": 0}, "steps is 0, expected at least 1"),
        ({"learn": "first", "steps": -5}, "steps is -5, expected at least 1"),
        ({"learn": "joint", "freeze": -1}, "freeze is -1, expected a step, 0 or later"),
    ],
)
@pytest.mark.parametrize("build", [compress, probe])
def test_numbers_out_of_range_are_refused(build, numbers, text):
    with pytest.raises(MenteeError, match=rf"{build.__name__}: {text}"):
        build((16,), (D,), pair_info=KNOWN, **{"width": 4, **numbers})


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"learn": "joint", "steps": 9}, r"steps is 9 .* joint, .*\.freeze to the step where it"),
        ({"learn": "first", "freeze": 9}, "freeze is 9 and learn is first, .*; leave freeze out"),
        ({"hidden": 9}, r"hidden is 9 and depth is 1, .*; set .*\.depth to 2 or more, or leave"),
    ],
)
@pytest.mark.parametrize("build", [compress, probe])
def test_numbers_that_would_change_nothing_are_refused(build, numbers, text):
    with pytest.raises(MenteeError, match=rf"{build.__name__}: {text}"):
        build((16,), (D,), pair_info=KNOWN, **{"width": 4, **numbers})


@pytest.mark.parametrize("numbers", [{"depth": 2}, {"hidden": 9}])
def test_a_probe_without_a_width_has_no_layers_to_say_anything_of(numbers):
    with pytest.raises(MenteeError, match=r"without a width there are no layers .*probe\.width"):
        probe((CLASSES,), (D,), pair_info=KNOWN, **numbers)


@pytest.mark.parametrize("build", [compress, probe])
def test_first_is_500_steps_where_none_are_said(build):
    assert build((CLASSES,), (D,), pair_info=KNOWN, learn="first")[1].steps == 500
    assert build((CLASSES,), (D,), pair_info=KNOWN, learn="joint")[1].steps == 0


def test_without_labels_there_is_nothing_to_compress_for():
    with pytest.raises(PairError, match="compress learns from labels and the examples have none"):
        compress((16,), (D,), pair_info=PairInfo(None, lambda: statistics()))


def test_without_statistics_it_says_who_has_to_bring_them():
    with pytest.raises(PairError, match="needs the mean and spread"):
        compress((16,), (D,), pair_info=PairInfo(CLASSES))
    compress((16,), (D,), pair_info=PairInfo(CLASSES), standardize=False)
