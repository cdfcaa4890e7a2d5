"""Rows of a record as negatives: exact, never stale, and the same however they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mentee.distillation.objective import DistillationLoss
from mentee.errors import MenteeError, PairError
from mentee.losses import info_nce, sigmoid_contrast
from mentee.memory import RecordRows
from mentee.methods import Component, Method, Term
from mentee.representations import unit_norm
from mentee.types import Batch
from tests.losses import formulas
from tests.memory import recorded
from tests.processes import Two, ended

N, WIDTH, CLASSES = 30, 5, 4
GROUPS = torch.arange(N) % CLASSES
ROWS = torch.tensor([7, 0, 22])


def vectors(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return unit_norm(torch.randn(*shape, generator=generator, dtype=torch.float64))


TABLE = vectors(N, WIDTH, seed=9).float()


def memory(negatives: int = 100, asked: list[int] | None = None, **more: object) -> RecordRows:
    def read(name: str, rows: Tensor) -> Tensor:
        if asked is not None:
            asked.append(len(rows))
        return TABLE[rows]

    return RecordRows(["m"], GROUPS, WIDTH, read, negatives=negatives, **more)


def others_of(rows: list[int], drawn: list[int]) -> list[list[np.ndarray]]:
    table = TABLE.double().numpy()
    return [[table[k] for k in drawn if GROUPS[k] != GROUPS[row]] for row in rows]


@pytest.mark.parametrize("negatives", [100, 12])
@pytest.mark.parametrize("bytes", [1 << 30, 0])
@pytest.mark.parametrize("chunk", [4096, 5])
def test_an_anchor_meets_the_drawn_rows_of_other_classes(monkeypatch, negatives, bytes, chunk):
    """Whether the table is in memory or its rows are read for the batch."""
    monkeypatch.setattr("mentee.memory.record_rows.LARGEST_TABLE", bytes)
    monkeypatch.setattr("mentee.losses.row_contrast.CHUNK", chunk)
    asked: list[int] = []
    rows = memory(negatives, asked)
    student, teacher = (vectors(3, WIDTH, seed=s).requires_grad_() for s in (1, 2))
    drawn = []
    for step in range(2):
        rows.begin(ROWS, step)
        drawn.append(list(range(N)) if rows._draw.rows is None else rows._draw.rows.tolist())
        assert len(drawn[-1]) == min(negatives, N)
        others = others_of(ROWS.tolist(), drawn[-1])
        read, arrays = (
            rows.read("m", student, teacher),
            (student.detach().numpy(), teacher.detach().numpy()),
        )
        got = info_nce(student, teacher, negatives=read, temperature=0.2)
        expected = formulas.info_nce_with_rows(*arrays, others, 0.2)
        np.testing.assert_allclose(got.detach(), expected, rtol=1e-6)
        got = sigmoid_contrast(student, teacher, negatives=read, bias=-3.0)
        expected = formulas.sigmoid_contrast(*arrays, others, 0.1, -3.0)
        np.testing.assert_allclose(got.detach(), expected, rtol=1e-6)
        for loss in (info_nce, sigmoid_contrast):
            assert torch.autograd.gradcheck(
                lambda s, t, f=loss, n=read: f(s, t, negatives=n), (student, teacher)
            )
        rows.write()
    assert (drawn[0] != drawn[1]) is (negatives < N)
    read_each_step = [min(negatives, N)] * 2
    assert asked == ([N] if bytes else read_each_step)
    assert not rows.state()


def test_without_classes_the_own_row_alone_is_left_out():
    rows = RecordRows(["m"], torch.arange(N), WIDTH, lambda name, rows: TABLE[rows])
    rows.begin(ROWS, 0)
    assert rows._draw.at_hand.tolist() == [N - 1.0] * 3


def test_rows_in_half_precision_are_near():
    student, teacher = (vectors(3, WIDTH, seed=s).float() for s in (1, 2))
    losses = []
    for dtype in ("float32", "bfloat16"):
        rows = memory(dtype=dtype)
        rows.begin(ROWS, 0)
        assert rows.tables["m"].dtype == getattr(torch, dtype)
        losses.append(info_nce(student, teacher, negatives=rows.read("m", student, teacher)))
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=3e-2)


def test_rows_that_are_not_finite_are_refused():
    rows = RecordRows(["m"], GROUPS, WIDTH, lambda name, rows: TABLE[rows] / 0)
    with pytest.raises(MenteeError, match="memory record: m has rows that are not finite"):
        rows.begin(ROWS, 0)


def test_a_record_has_no_rows_of_the_student():
    rows = memory()
    rows.begin(ROWS, 0)
    x = vectors(3, WIDTH)
    with pytest.raises(MenteeError, match=r"memory keeps none; leave symmetric out"):
        info_nce(x, x, negatives=rows.read("m", x, x), symmetric=True)


# Bound to a pair


def test_the_rows_are_what_the_teachers_side_makes_of_the_record():
    criterion, loss = recorded.bound(), recorded.one_step
    got = loss(criterion, recorded.ROWS)
    heads = dict(criterion.adapters.named_parameters())
    assert heads.keys() == {f"info_nce/embedding.0.inner.head.{x}" for x in ("weight", "bias")}
    weight, bias = (p.detach().double().numpy() for p in heads.values())
    student, teacher = (x.double().numpy() for x in (recorded.STUDENT, recorded.TEACHER))
    anchors = [formulas.unit(weight @ student[row] + bias) for row in recorded.ROWS]
    unit = [formulas.unit(row) for row in teacher]
    positives = [unit[row] for row in recorded.ROWS]
    others = [
        [unit[k] for k in range(len(unit)) if recorded.GROUPS[k] != recorded.GROUPS[row]]
        for row in recorded.ROWS
    ]
    expected = formulas.info_nce_with_rows(anchors, positives, others, 0.1).mean()
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_two_processes_have_the_loss_and_the_gradient_of_one(tmp_path: Path):
    ended(Two(recorded.__file__, cwd=tmp_path))


def bind(loss: str, representation: Component, **more: object) -> DistillationLoss:
    term = Term("embedding", Component(loss), 1.0, representation, Component("record"))
    shapes = {"embedding": (WIDTH,)}
    return DistillationLoss(
        Method("own", (term,)), shapes, shapes, groups=GROUPS, examples=N, **more
    )


UNIT = Component("unit", of=Component("to_teacher", {"scale": "none"}))


def test_a_trained_teachers_side_is_refused():
    text = r"info_nce/embedding: rows of a record are constants.*take one that is fixed there: unit"
    with pytest.raises(PairError, match=text):
        bind("info_nce", Component("project"))
    with pytest.raises(PairError, match=r"contrast/embedding: .*take info_nce, or the memory bank"):
        bind("contrast", UNIT)


def test_without_a_record_the_first_batch_is_refused():
    criterion = bind("info_nce", UNIT)
    with pytest.raises(MenteeError, match="info_nce/embedding has the memory record, and there is"):
        criterion.begin(Batch(torch.zeros(3, 1), ROWS, ROWS, GROUPS[ROWS]), 0)
