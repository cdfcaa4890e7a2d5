"""Pretraining of teacher-side adapters on their own objective, before the student's first step."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mentee.build.setup import TrainingSetup
from mentee.data import Examples
from mentee.errors import PairError
from mentee.evaluation.predictions import in_order
from mentee.parallel import world
from mentee.representations import Adapter
from mentee.tasks import Task, task_of
from mentee.tasks.mixed_labels import entry_weight
from mentee.teachers.teacher import Teacher

RATE, DECAY, BATCH = 1e-3, 1e-2, 256
MOST_BYTES = 1 << 28


def pretrain_adapters(parts: TrainingSetup) -> None:
    """Train the teacher-side adapters with an own objective and `steps`, then freeze them.

    Each takes `steps` steps of AdamW over the precomputed features of the training examples, in
    batches of 256, at a learning rate of 1e-3 with cosine annealing. Where these features would
    take more than 256 MB, evenly spaced examples are used.
    """
    criterion = parts.module.criterion
    adapters = {b.name: criterion.adapters_of(b)[1] for b in criterion.bound_terms}
    pretrained = {name: each.aux_module for name, each in adapters.items() if each.steps}
    if not pretrained or parts.teacher is None:
        return
    examples, device = parts.splits.train, parts.accelerator.device
    one = precomputed_features(parts, parts.teacher, parts.splits.some(world()), list(pretrained))
    most = max(MOST_BYTES // (4 * sum(each[0].numel() for each in one.values())), 1)
    if len(examples) > most:
        examples = parts.splits.some(most)
    features = precomputed_features(parts, parts.teacher, examples, list(pretrained))
    labels = None if examples.labels is None else torch.as_tensor(examples.labels).to(device)
    mask = None if examples.mask is None else torch.as_tensor(examples.mask).to(device)
    has = None if examples.labeled is None else torch.as_tensor(examples.labeled).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(parts.recipe.train.seed)
        for name, adapter in pretrained.items():
            pretrain(adapter, features[name].to(device), labels, mask, has, examples.task)


def precomputed_features(
    parts: TrainingSetup, teacher: Teacher, examples: Examples, names: list[str]
) -> dict[str, Tensor]:
    """The precomputed part of each teacher-side adapter, for clean examples in order."""
    criterion, device = parts.module.criterion, parts.accelerator.device
    rows: list[Tensor] = []
    features: dict[str, list[Tensor]] = {name: [] for name in names}
    for batch in parts.splits.clean(examples):
        fixed = criterion.precompute(teacher(batch.to(device)))
        rows.append(batch.rows)
        for name in names:
            features[name].append(fixed[name].float().cpu())
    return in_order(rows, {name: torch.cat(each) for name, each in features.items() if rows})


def pretrain(
    adapter: Adapter,
    features: Tensor,
    labels: Tensor | None,
    mask: Tensor | None,
    labeled: Tensor | None = None,
    task: Task | None = None,
) -> None:
    """Train one adapter on its auxiliary loss, from precomputed features."""
    adapter.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, adapter.steps)
    for _ in range(adapter.steps):
        rows = torch.randint(len(features), (min(BATCH, len(features)),)).to(features.device)
        y, known, has = (None if e is None else e[rows] for e in (labels, mask, labeled))
        fixed = features[rows]
        loss_of = partial(task_loss, task or task_of(labels), y, known, has)
        loss = adapter.aux_loss(adapter.aux_input(fixed, adapter(fixed)), loss_of, 0)
        if loss is None:
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    adapter.requires_grad_(False)


def task_loss(
    task: Task,
    labels: Tensor | None,
    known: Tensor | None,
    labeled: Tensor | None,
    outputs: Tensor,
) -> Tensor:
    """The task's loss of each example, `[b]`; the mean is over what is known."""
    if labels is None:
        raise PairError("the adapter is pretrained with labels, and the examples have none")
    losses = task.loss(outputs, labels, known)
    if known is not None:
        return losses * entry_weight(known).to(losses)
    if labeled is None:
        return losses
    return losses * (len(losses) / labeled.sum().clamp(min=1))
