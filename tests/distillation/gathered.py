"""Losses of whole batches that need labels or masks, in two processes; run by test_objective."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from mentee.distillation.objective import DistillationLoss
from mentee.losses import LOSSES, LossSpec
from mentee.methods import Component, Method, Term
from mentee.parallel import all_reduce_sum, exit_process, rank, world
from mentee.types import Batch, Mixup

EACH, WIDTH, CLASSES = 4, 5, 3


def by_label(student: Tensor, teacher: Tensor, *, labels: Tensor) -> Tensor:
    """Squared distances of each example to the teacher's vectors of its class, `[b]`."""
    same = (labels[:, None] == labels).to(student)
    return (same * torch.cdist(student, teacher.detach()) ** 2).sum(1)


def by_mask(student: Tensor, teacher: Tensor, *, mask: Tensor | None) -> Tensor:
    """A scalar: the known entries' share of all squared differences from the teacher's mean."""
    assert mask is not None
    return (mask * (student - teacher.detach().mean(0)) ** 2).sum() / mask.sum()


def value(name: str, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """What DistillationLoss computes in this process of its part of the batch."""
    needs: Any = ("labels",) if name == "by_label" else ("mask",)
    spec = LossSpec(globals()[name], needs=needs, whole_batch=True)
    criterion = DistillationLoss(
        Method("own", (Term("embedding", Component(name), 1.0),)),
        {"embedding": (WIDTH,)},
        {"embedding": (WIDTH,)},
        groups=None,
        examples=2 * EACH,
        classes=CLASSES,
        losses={name: spec},
    )
    outputs = criterion.precompute({"embedding": teacher})
    (loss,) = criterion({"embedding": student}, outputs, batch).values()
    return loss


def check_heads(name: str) -> None:
    """The heads of both networks learn from a contrast what they learn from the whole batch."""
    torch.manual_seed(1)
    student, teacher = torch.randn(2, 2 * EACH, 3, 2, 2, dtype=torch.float64)
    term = Term("stages.0", Component(name), 1.0, Component("dense_project", {"width": 4}))
    shapes = {"stages.0": (3, 2, 2)}
    criterion = DistillationLoss(
        Method("own", (term,)), shapes, shapes, groups=None, examples=2 * EACH, classes=CLASSES
    ).double()
    adapters = criterion.adapters_of(criterion.bound_terms[0])
    heads = [p for adapter in adapters for p in adapter.parameters()]
    s, t = (a(x) for a, x in zip(adapters, (student, teacher), strict=True))
    labels = torch.arange(2 * EACH) % CLASSES
    more = {"labels": labels} if name == "class_info_nce" else {}
    expected = torch.autograd.grad(LOSSES[name].function(s, t, **more), heads)
    rows = torch.arange(2 * EACH)[rank() * EACH : (rank() + 1) * EACH]
    batch = Batch(torch.zeros(EACH, 1), rows, rows, labels[rows])
    outputs = criterion.precompute({"stages.0": teacher[rows]})
    (loss,) = criterion({"stages.0": student[rows]}, outputs, batch).values()
    for each, whole in zip(torch.autograd.grad(loss, heads), expected, strict=True):
        torch.testing.assert_close(all_reduce_sum(each) / world(), whole)


def main() -> None:
    """Values and gradients of both parts, against the pure function of the whole batch."""
    Accelerator(cpu=True)
    assert world() == 2
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2 * EACH, WIDTH, dtype=torch.float64)
    labels, mask = torch.arange(2 * EACH) % CLASSES, torch.rand(2 * EACH, WIDTH) > 0.3
    part = slice(rank() * EACH, (rank() + 1) * EACH)
    partner, share = torch.tensor([1, 2, 3, 0]), 0.75
    partners = torch.cat([partner, EACH + partner])
    whole = student.clone().requires_grad_()
    plain = by_label(whole, teacher, labels=labels).mean()
    other = by_label(whole, teacher, labels=labels[partners]).mean()
    cases = [
        ("by_label", None, plain),
        ("by_label", Mixup(partner, share), share * plain + (1 - share) * other),
        ("by_mask", None, by_mask(whole, teacher, mask=mask)),
    ]
    for name, mixed, expected in cases:
        rows = torch.arange(2 * EACH)[part]
        y = labels[part] if name == "by_label" else mask[part].float()
        known = None if name == "by_label" else mask[part]
        batch = Batch(torch.zeros(EACH, 1), rows, rows, y, mask=known, mixed=mixed)
        own = student[part].clone().requires_grad_()
        loss = value(name, own, teacher[part], batch)
        torch.testing.assert_close(loss, expected.detach())
        (gradient,) = torch.autograd.grad(loss, own)
        (of_whole,) = torch.autograd.grad(expected, whole, retain_graph=True)
        torch.testing.assert_close(gradient / world(), of_whole[part])  # processes are averaged
    for name in ("info_nce", "class_info_nce"):
        check_heads(name)
    exit_process(0)


if __name__ == "__main__":
    main()
