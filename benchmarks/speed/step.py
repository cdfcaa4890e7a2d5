"""What a whole training step costs: CKTF with five modules against KD, the same live teacher.

ResNet-8 student, ResNet-20 teacher, batch 64, a training set (and bank) of 50,000 images of
noise; steps of each method and of KD are taken in turn, in one process.

    python benchmarks/speed/step.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import environment, in_turn, summary

from mentee import models
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.distillation.loop import train
from mentee.recipe import read
from mentee.types import Step

N, ROUNDS = 50_000, 40
ROWS = {
    "none": ("none", {}),
    "crd-bank, K 16384": ("crd-bank", {}),
    "cktf-bank, K 4096": ("cktf-bank", {"memory.negatives": 4096}),
    "cktf-bank, K 16384": ("cktf-bank", {}),
    "cktf-bank, whole bank": ("cktf-bank", {"memory.negatives": N}),
    "cktf-bank, queue 4096": ("cktf-bank", {"memory.kind": "queue", "memory.negatives": 4096}),
    "cktf-bank, in batch": ("cktf-bank", {"memory.kind": "batch"}),
}


def steps(method: str, numbers: dict[str, object], data: dict[str, np.ndarray]) -> Iterator[Step]:
    """The steps of a run on noise."""
    recipe = read(
        {
            "data": {"source": "noise", "validation": None, "test": None},
            "student": {"network": "resnet8-cifar", "input": "cifar10"},
            "teacher": {"network": "resnet20-cifar", "input": "cifar10"},
            "method": {"name": method, "params": numbers},
        }
    )
    teacher = models.build("resnet20-cifar", classes=10, seed=0)
    parts = build(recipe, PythonOverrides(data=data, teacher=teacher))
    return train(
        parts.module,
        parts.teacher,
        lambda epoch, start: parts.splits.epoch(parts.recipe.train, epoch, start),
        parts.optimizer,
        parts.plan,
        parts.accelerator,
    )


def main() -> None:
    """Measure, print and write the numbers."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    random = np.random.default_rng(0)
    data = {
        "image": random.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8),
        "label": np.arange(N) % 10,
    }
    kd = steps("kd", {}, data).__next__
    result = {}
    for name, (method, numbers) in ROWS.items():
        times = in_turn({"kd": kd, name: steps(method, numbers, data).__next__}, ROUNDS)
        result[name] = summary(times, "kd")[name]
        print(name, result[name], flush=True)
    content = {
        "what": "one training step, ResNet-8 student, live ResNet-20 teacher, batch 64, "
        f"{N} examples",
        "steps": result,
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
