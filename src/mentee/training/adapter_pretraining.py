"""What a teacher's side learns before the student's first step."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mentee.build.setup import TrainingSetup
from mentee.data import Examples
from mentee.errors import PairError
from mentee.parallel import gather_objects, world
from mentee.representations import Adapter
from mentee.tasks import Task, task_of
from mentee.teachers.teacher import Teacher

RATE, DECAY, BATCH = 1e-3, 1e-2, 256
MOST_BYTES = 1 << 28


def learn_first(parts: TrainingSetup) -> None:
    """Train the teacher's sides that are to learn alone and first, then freeze them.

    Each takes `steps` steps of AdamW over the fixed part of what the teacher says of the training
    examples, in batches of 256, at a rate of 1e-3 that falls to zero along a cosine. Of maps that
    would take more than 256 MB, evenly spaced examples are taken.
    """
    criterion = parts.module.criterion
    sides = {b.name: criterion.adapters_of(b)[1] for b in criterion.bound_terms}
    first = {name: side.aux_module for name, side in sides.items() if side.steps}
    if not first or parts.teacher is None:
        return
    examples, device = parts.splits.train, parts.accelerator.device
    one = said_of(parts, parts.teacher, parts.splits.some(world()), list(first))
    most = max(MOST_BYTES // (4 * sum(each[0].numel() for each in one.values())), 1)
    if len(examples) > most:
        examples = parts.splits.some(most)
    said = said_of(parts, parts.teacher, examples, list(first))
    labels = None if examples.labels is None else torch.as_tensor(examples.labels).to(device)
    mask = None if examples.mask is None else torch.as_tensor(examples.mask).to(device)
    has = None if examples.labeled is None else torch.as_tensor(examples.labeled).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(parts.recipe.train.seed)
        for name, side in first.items():
            learn(side, said[name].to(device), labels, mask, has, examples.task)


def said_of(
    parts: TrainingSetup, teacher: Teacher, examples: Examples, names: list[str]
) -> dict[str, Tensor]:
    """The fixed part of the teacher's side of some terms, for clean examples in order."""
    criterion, device = parts.module.criterion, parts.accelerator.device
    rows: list[Tensor] = []
    said: dict[str, list[Tensor]] = {name: [] for name in names}
    for batch in parts.splits.clean(examples):
        fixed = criterion.precompute(teacher(batch.to(device)))
        rows.append(batch.rows)
        for name in names:
            said[name].append(fixed[name].float().cpu())
    mine = {name: torch.cat(each) for name, each in said.items() if rows}
    shares = gather_objects((torch.cat(rows), mine) if rows else None)
    order = torch.cat([rows for rows, _ in shares]).argsort()
    return {name: torch.cat([each[name] for _, each in shares])[order] for name in names}


def learn(
    side: Adapter,
    said: Tensor,
    labels: Tensor | None,
    mask: Tensor | None,
    labeled: Tensor | None = None,
    task: Task | None = None,
) -> None:
    """Train one side on its own loss, from the fixed part of what the teacher said."""
    side.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(side.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, side.steps)
    for _ in range(side.steps):
        rows = torch.randint(len(said), (min(BATCH, len(said)),)).to(said.device)
        y, known, has = (None if e is None else e[rows] for e in (labels, mask, labeled))
        fixed = said[rows]
        loss_of = partial(task_loss, task or task_of(labels), y, known, has)
        loss = side.aux_loss(side.aux_input(fixed, side(fixed)), loss_of, 0)
        if loss is None:
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    side.requires_grad_(False)


def task_loss(
    task: Task,
    labels: Tensor | None,
    known: Tensor | None,
    labeled: Tensor | None,
    outputs: Tensor,
) -> Tensor:
    """The task's loss of each example, `[b]`; the mean is over the labeled ones."""
    if labels is None:
        raise PairError("what learns first learns from labels, and the examples have none")
    losses = task.loss(outputs, labels, known)
    if labeled is None:
        return losses
    return losses * (len(losses) / labeled.sum().clamp(min=1))
