"""What a teacher's side learns before the student's first step."""

from __future__ import annotations

import torch
from torch import Tensor

from mentee.agree import task_loss
from mentee.parallel import gather_objects
from mentee.represent import Compressed
from mentee.run.parts import Parts
from mentee.teachers.teacher import Teacher

RATE, DECAY, BATCH = 1e-3, 1e-2, 256


def learn_first(parts: Parts) -> None:
    """Train the compressors and probes that are to learn alone and first, then freeze them.

    Each takes `steps` steps of AdamW over the teacher's vectors of the training examples, in
    batches of 256, at a rate of 1e-3 that falls to zero along a cosine.
    """
    transfer = parts.trainee.transfer
    sides = {
        b.name: side for b in transfer.bound if isinstance(side := transfer.side(b)[1], Compressed)
    }
    first = {name: side for name, side in sides.items() if side.steps}
    if not first or parts.teacher is None:
        return
    said = vectors(parts, parts.teacher, list(first))
    examples, device = parts.sets.train, parts.accelerator.device
    labels = torch.as_tensor(examples.labels).to(device)
    mask = None if examples.mask is None else torch.as_tensor(examples.mask).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(parts.recipe.train.seed)
        for name, side in first.items():
            learn(side, said[name].to(device), labels, mask)


def vectors(parts: Parts, teacher: Teacher, names: list[str]) -> dict[str, Tensor]:
    """The fixed part of the teacher's side of some terms, for all training examples in order."""
    transfer, device = parts.trainee.transfer, parts.accelerator.device
    rows: list[Tensor] = []
    said: dict[str, list[Tensor]] = {name: [] for name in names}
    for batch in parts.sets.clean(parts.sets.train):
        fixed = transfer.fixed(teacher(batch.to(device)))
        rows.append(batch.rows)
        for name in names:
            said[name].append(fixed[name].float().cpu())
    mine = {name: torch.cat(each) for name, each in said.items() if rows}
    shares = gather_objects((torch.cat(rows), mine) if rows else None)
    order = torch.cat([rows for rows, _ in shares]).argsort()
    return {name: torch.cat([each[name] for _, each in shares])[order] for name in names}


def learn(side: Compressed, said: Tensor, labels: Tensor, mask: Tensor | None) -> None:
    """Train one side on its own loss, from the fixed part of the teacher's vectors."""
    side.requires_grad_(True).train()
    optimiser = torch.optim.AdamW(side.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, side.steps)
    for _ in range(side.steps):
        rows = torch.randint(len(said), (min(BATCH, len(said)),)).to(said.device)
        known = None if mask is None else mask[rows]
        fixed = said[rows]
        logits = side.logits(side.learning(fixed, side(fixed)))
        loss = task_loss(logits, labels[rows], known).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    side.requires_grad_(False)
