"""The optimizer of a run, and the plan of its steps and learning rates."""

from __future__ import annotations

from typing import TypeVar

import torch

from mentee.distillation.loop import DistillationModule, Plan
from mentee.distillation.lr_schedule import rate_at
from mentee.distillation.sharding import split_groups
from mentee.errors import RecipeError
from mentee.recipe import Train
from mentee.recipe.probe import Tune

AnyPart = TypeVar("AnyPart", Train, Tune)

LR, TEXT_LR = 0.05, 0.003
"""The default learning rates, and of AdamW for texts."""


def resolve_optimizer(part: AnyPart, kind: str, lr: float = LR) -> AnyPart:
    """The same with an optimizer and a learning rate: those of the recipe, else AdamW for texts.

    Args:
        part: `train` of a recipe, or `probe.finetune`.
        kind: of the examples.
        lr: the default for all but AdamW on texts, which has 0.003.
    """
    optimizer = part.optimizer or ("adamw" if kind == "text" else "sgd")
    lr = TEXT_LR if (kind, optimizer) == ("text", "adamw") else lr
    return part.model_copy(update={"optimizer": optimizer, "lr": part.lr or lr})


def optimizer_note(train: Train, resolved: Train) -> list[str]:
    """A line where the optimizer is the default of texts."""
    if train.optimizer is not None or resolved.optimizer == "sgd":
        return []
    return [
        f"train.optimizer: {resolved.optimizer} with train.lr: {resolved.lr:g}, the default for "
        "texts, which SGD learns slowly"
    ]


def build_optimizer(train: Train, module: DistillationModule) -> torch.optim.Optimizer:
    """SGD or AdamW of all that is trained; norms and biases decay only with `weight_decay_all`.

    The scales of losses never are: decay would draw them all to 1.
    """
    scales = list(module.criterion.loss_weights.parameters())
    trained = [
        p for p in module.parameters() if p.requires_grad and not any(p is s for s in scales)
    ]
    if not trained:
        raise RecipeError("nothing is trained: all parameters of the student are frozen")
    if train.weight_decay_all:
        parts = [{"params": trained, "weight_decay": train.weight_decay}]
    else:
        parts = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": train.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
    if scales:
        parts.append({"params": scales, "weight_decay": 0.0})
    parts = split_groups(parts)
    if train.optimizer == "adamw":
        # One kernel for all: a step over an embedding table costs a seventh on a CPU.
        return torch.optim.AdamW(parts, lr=train.lr or LR, fused=True)
    return torch.optim.SGD(
        parts,
        lr=train.lr or LR,
        momentum=train.momentum,
        nesterov=train.nesterov,
        fused=True if trained[0].is_cuda else None,
    )


def training_plan(train: Train, batches: int) -> Plan:
    """How many steps of so many batches an epoch there are, and the learning rate of each."""

    def rate(step: int, steps: int) -> float:
        return rate_at(
            step,
            steps,
            schedule=train.schedule,
            warmup=train.warmup,
            milestones=[epoch / train.epochs for epoch in train.milestones],
            factor=train.factor,
        )

    return Plan(train.epochs, batches, train.gradient_accumulation, rate, train.max_grad_norm)


def schedule_notes(train: Train, steps: int) -> list[str]:
    """Lines on what a run of so many steps does not follow of the schedule in a recipe."""
    late = [epoch for epoch in train.milestones if epoch >= train.epochs]
    notes = []
    if train.milestones and train.schedule != "steps":
        notes.append(f"train.milestones is not used: train.schedule is {train.schedule}, not steps")
    elif late:
        notes.append(f"train.milestones {late} are not reached in the {train.epochs} epochs")
    if train.warmup >= steps:
        notes.append(
            f"train.warmup of {train.warmup:,} steps does not end within the {steps:,} of the "
            "run: the rate never reaches train.lr"
        )
    return notes
