"""The same few trainings by DDP and by a student that is split; started by test_sharding."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from mentee import models, resume, train
from mentee.api import Interrupted, Paused
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.parallel import exit_process, gather_objects, rank
from mentee.recipe import read
from tests.training.two_processes import cktf, without_batch_norm

CRD = {"name": "crd-bank", "params": {"memory.negatives": 48}}
INSIDE = {  # all that is read of the student lies in one of its blocks; the scale is one number
    "name": "inside",
    "terms": [
        {
            "layers": ["blocks.0.mlp.fc1", "embedding"],
            "loss": "dcd",
            "weight": 1.0,
            "representation": {"name": "logit_scale", "of": {"name": "project"}},
        }
    ],
    "weights": {"task": 0.0},
}
ADAMW = {"optimizer": "adamw", "lr": 0.003, "weight_decay_all": False}
CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "kd": ("no-norm", "kd", {"max_grad_norm": 0.5, "ema": 0.5}),
    "crd": ("vit", CRD, {"gradient_accumulation": 2, **ADAMW}),
    "cktf": ("resnet", {**cktf(kind="queue", negatives=70), "balance": "uncertainty"}, {}),
    "ec": ("no-norm", {"name": "ec", "params": {"compress.width": 8}}, {"nesterov": True}),
    "inside": ("vit", INSIDE, {"gradient_accumulation": 2, "max_grad_norm": 0.5}),
}


def student(kind: str, seed: int = 1) -> nn.Module:
    if kind == "no-norm":
        return without_batch_norm(seed, (8, 16, 32))
    if kind == "resnet":
        return models.build("resnet8-cifar", classes=10, channels=1, seed=seed, widths=(8, 16, 32))
    torch.manual_seed(seed)
    size: dict[str, Any] = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10}
    size["qkv_bias"] = False  # keys' have gradients of rounding alone, which AdamW makes large
    return timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=9, num_heads=2, **size)


def recipe(method: Any, teacher: Any = "given", **training: Any) -> dict[str, Any]:
    """Two epochs of three steps."""
    data = {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 72}
    return {
        "data": {**data, "validation": 0.25 if method == "kd" else None, "test": None},
        "student": "given",
        "teacher": teacher,
        "method": method,
        "train": {"epochs": 2, "batch": 24, "lr": 0.02, **training},
        "save": {"minutes": None},
    }


def trained(out: Path, name: str, *, shard: bool) -> dict[str, Any]:
    """The losses of a training; its folder has the rest."""
    kind, method, training = CASES[name]
    losses: list[dict[str, float]] = []
    # One comes to its end; the others are compared after their first epoch.
    with contextlib.suppress(Paused):
        train(
            recipe(method, shard=shard, **training),
            out=out,
            student=student(kind),
            teacher=without_batch_norm(2, (16, 32, 64)),
            quiet=True,
            on_step=lambda step: losses.append(dict(step.losses)),
            until=None if name == "kd" else 1,
        )
    return {"losses": losses}


def held() -> int:
    """The numbers of parameters and optimizer state that this process holds of a split student."""
    plain = recipe("none", None, shard=True, optimizer="adamw", lr=0.003)
    setup = build(read(plain), PythonOverrides(student=student("vit")))
    for each in setup.module.parameters():
        each.grad = torch.zeros_like(each)
    setup.optimizer.step()
    tensors = [each for state in setup.optimizer.state.values() for each in state.values()]
    local = [each.to_local() for each in (*setup.module.parameters(), *tensors) if each.ndim]
    return sum(each.numel() for each in local)


def stop(step: Any) -> None:
    if step.number == 2:
        raise Interrupted("stopped", 15)


def main(out: Path) -> None:
    """Train each by DDP and split; then one that is stopped and resumed."""
    found: dict[Any, Any] = {"held": gather_objects(held())}
    for name in CASES:
        for shard in (False, True):
            folder = out / name / ("split" if shard else "whole")
            found[name, shard] = trained(folder, name, shard=shard)
    if rank() == 0:
        torch.save(found, out / "found.pt")
    kind, method, training = CASES["kd"]
    content = recipe(method, shard=True, **training) | {"save": {"minutes": None, "steps": 1}}
    networks = {"student": student(kind), "teacher": without_batch_norm(2, (16, 32, 64))}
    with contextlib.suppress(Interrupted):
        train(content, out=out / "stopped", quiet=True, on_step=stop, **networks)
    torch.manual_seed(99)
    if rank() == 0:
        shutil.copytree(out / "stopped", out / "one")  # for the test itself
    resume(out / "stopped", quiet=True, **networks)
    exit_process(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
