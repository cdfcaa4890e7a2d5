"""What trains a student: the optimizer, how many steps, and the rate of each."""

from __future__ import annotations

import torch

from mentee.distillation.loop import DistillationModule, Plan
from mentee.distillation.lr_schedule import rate_at
from mentee.errors import RecipeError
from mentee.recipe import Recipe


def optimizer(recipe: Recipe, module: DistillationModule) -> torch.optim.Optimizer:
    """SGD or AdamW of all that is trained; norms and biases are decayed only if the recipe says.

    The scales of losses never are: decay would draw them all to 1.
    """
    said = recipe.train
    scales = list(module.criterion.loss_weights.parameters())
    trained = [
        p for p in module.parameters() if p.requires_grad and not any(p is s for s in scales)
    ]
    if not trained:
        raise RecipeError("nothing is trained: all parameters of the student are frozen")
    if said.weight_decay_all:
        parts = [{"params": trained, "weight_decay": said.weight_decay}]
    else:
        parts = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": said.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
    if scales:
        parts.append({"params": scales, "weight_decay": 0.0})
    if said.optimizer == "adamw":
        # One kernel for all: a step over an embedding table costs a seventh on a CPU.
        return torch.optim.AdamW(parts, lr=said.lr, fused=True)
    return torch.optim.SGD(parts, lr=said.lr, momentum=said.momentum, nesterov=said.nesterov)


def plan(recipe: Recipe, batches: int) -> Plan:
    """How many steps, and the rate of each.

    Args:
        recipe: says all but how many batches an epoch has.
        batches: of an epoch.
    """
    said = recipe.train

    def rate(step: int, steps: int) -> float:
        return rate_at(
            step,
            steps,
            schedule=said.schedule,
            warmup=said.warmup,
            milestones=[epoch / said.epochs for epoch in said.milestones],
            factor=said.factor,
        )

    return Plan(said.epochs, batches, said.gradient_accumulation, rate, said.max_grad_norm)
