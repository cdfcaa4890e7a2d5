"""The optimizer of a run, and the plan of its steps and learning rates."""

from __future__ import annotations

import torch

from mentee.distillation.loop import DistillationModule, Plan
from mentee.distillation.lr_schedule import rate_at
from mentee.errors import RecipeError
from mentee.recipe import Train


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
    if train.optimizer == "adamw":
        # One kernel for all: a step over an embedding table costs a seventh on a CPU.
        return torch.optim.AdamW(parts, lr=train.lr, fused=True)
    return torch.optim.SGD(parts, lr=train.lr, momentum=train.momentum, nesterov=train.nesterov)


def training_plan(train: Train, batches: int) -> Plan:
    """How many steps, and the learning rate of each.

    Args:
        train: of the recipe.
        batches: of an epoch.
    """

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
