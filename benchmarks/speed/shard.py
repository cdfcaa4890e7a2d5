"""Bytes that each process holds of a large student, and seconds of a step, by DDP and split.

torchrun --nproc-per-node 2 benchmarks/speed/shard.py timm:vit_base_patch16_224
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np

from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.distillation.loop import train
from mentee.parallel import exit_process, init_processes, rank, world
from mentee.recipe import read

STEPS, EACH = 6, 2
"""Steps of each kind, and examples of a process in a step."""


def local_bytes(tensor: Any) -> int:
    """Of what this process holds."""
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return int(local.numel() * local.element_size())


def measure(network: str, *, shard: bool) -> None:
    """Train a few steps and print a line."""
    rng = np.random.default_rng(0)
    count = STEPS * EACH * world()
    images = rng.integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)
    recipe = {
        "data": {"source": "passed", "views": "none", "validation": None, "test": None},
        "student": network,
        "train": {
            "batch": EACH * world(),
            "epochs": 1,
            "optimizer": "adamw",
            "lr": 1e-4,
            "shard": shard,
        },
    }
    data = {"image": images, "label": np.arange(count) % 10}
    setup = build(read(recipe), PythonOverrides(data=data))
    held = dict.fromkeys(("parameters", "gradients", "optimizer"), 0)

    def count_bytes(*_: object) -> None:
        parameters = list(setup.module.parameters())
        held["parameters"] = sum(map(local_bytes, parameters))
        held["gradients"] = sum(local_bytes(p.grad) for p in parameters if p.grad is not None)
        states = setup.optimizer.state.values()
        held["optimizer"] = sum(local_bytes(each) for s in states for each in s.values())

    setup.optimizer.register_step_post_hook(count_bytes)
    seconds, began = list[float](), time.perf_counter()
    for _ in train(
        setup.module, None, setup.batches, setup.optimizer, setup.plan, setup.accelerator
    ):
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    if rank() == 0:
        parts = "  ".join(f"{name} {value / 1e6:,.0f} MB" for name, value in held.items())
        print(
            f"{network}, {world()} processes, {'split' if shard else 'DDP'}: {parts}  "
            f"all {sum(held.values()) / 1e6:,.0f} MB  "
            f"a step {statistics.median(seconds[2:]):.2f} s (median of {len(seconds) - 2})",
            flush=True,
        )


if __name__ == "__main__":
    init_processes()
    for shard in (False, True, False, True):
        measure(sys.argv[1], shard=shard)
    exit_process(0)
