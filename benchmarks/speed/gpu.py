"""What a GPU makes of training steps: images a second, waiting for data, time in its kernels.

Students ResNet-8, ResNet-20 and WRN-16-2 with KD, CRD, CKTF and EC, the teacher a WRN-40-2 that is
read live or from its record, on images of noise. Every step is that of a run: loader, teacher,
losses, optimizer, all with the defaults of the device.

    python benchmarks/speed/gpu.py              # needs CUDA; writes gpu.json
    python benchmarks/speed/gpu.py --dry-run    # two small steps of each, on a CPU too
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import environment

from mentee import models, record_network
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import TrainingSetup, build
from mentee.distillation.loop import train
from mentee.recipe import read
from mentee.types import Batch, Step

STUDENTS = ("resnet8-cifar", "resnet20-cifar", "wrn-16-2")
METHODS = ("kd", "crd", "cktf", "ec")
TEACHER = {"network": "wrn-40-2", "input": "cifar10"}
PROFILED = 20
"""Steps under the profiler, after those that are timed: it slows them down."""


@dataclass(frozen=True)
class Size:
    """How much is measured: examples, examples of a batch, steps before and while it is timed."""

    examples: int
    batch: int
    warm: int
    timed: int


WHOLE, DRY = Size(4096, 64, 30, 200), Size(32, 8, 0, 2)


@dataclass
class Waiting:
    """The batches of a run, and the seconds that the host waited for them."""

    parts: TrainingSetup
    seconds: float = 0.0

    def load(self, epoch: int, start: int) -> Iterator[Batch]:
        """One epoch's."""
        batches = self.parts.splits.epoch(self.parts.recipe.train, epoch, start)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - began
            if batch is None:
                return
            yield batch


def finish() -> None:
    """Wait for all that was asked of the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def take(steps: Iterator[Step], count: int) -> float:
    """Take so many steps; the seconds until the device is done with them."""
    finish()
    began = time.perf_counter()
    for _ in range(count):
        next(steps)
    finish()
    return time.perf_counter() - began


def busy_share(steps: Iterator[Step]) -> float | None:
    """The share of the time in which kernels run; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        seconds = take(steps, PROFILED)
    microseconds = sum(each.self_device_time_total for each in profile.key_averages())
    return round(microseconds / 1e6 / seconds, 3)


def measure(recipe: dict[str, Any], options: PythonOverrides, size: Size) -> dict[str, Any]:
    """The numbers of one run."""
    parts = build(read(recipe), options)
    waiting = Waiting(parts)
    steps = train(
        parts.module, parts.teacher, waiting.load, parts.optimizer, parts.plan, parts.accelerator
    )
    take(steps, size.warm)
    waiting.seconds = 0.0
    seconds = take(steps, size.timed)
    return {
        "images_per_second": round(size.timed * size.batch / seconds, 1),
        "ms_per_step": round(1e3 * seconds / size.timed, 3),
        "share_waiting_for_data": round(waiting.seconds / seconds, 3),
        "share_in_kernels": busy_share(steps),
        "notes": parts.notes["compute_notes"],
    }


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="two small steps of each")
    parser.add_argument("--out", type=Path, help="the file of the numbers (gpu.json)")
    asked = parser.parse_args()
    if not (asked.dry_run or torch.cuda.is_available()):
        parser.error("there is no GPU here; --dry-run shows that it would run")
    size = DRY if asked.dry_run else WHOLE
    random, result = np.random.default_rng(0), dict[str, Any]()
    data = {
        "image": random.integers(0, 256, (size.examples, 32, 32, 3), dtype=np.uint8),
        "label": np.arange(size.examples) % 10,
    }
    options = PythonOverrides(data=data, teacher=models.build("wrn-40-2", classes=10, seed=0))
    recipe: dict[str, Any] = {
        "data": {"source": "noise", "validation": None, "test": None},
        "teacher": TEACHER,
        "train": {"batch": size.batch, "epochs": 1000},
    }
    with tempfile.TemporaryDirectory() as folder:
        record = {"record": f"{folder}/record", "clean": True}
        one = recipe | {"student": {"network": STUDENTS[0], "input": "cifar10"}, "method": "kd"}
        record_network(
            one,
            record["record"],
            names=METHODS,
            views=0,
            data=data,
            teacher=options.teacher,
            inspect=False,
        )
        for student in STUDENTS:
            for method in METHODS:
                for kind, teacher in (("online", TEACHER), ("recorded", record)):
                    network = {"network": student, "input": "cifar10"}
                    changed = {"student": network, "method": method, "teacher": teacher}
                    name = f"{student}, {method}, {kind}"
                    result[name] = measure(recipe | changed, options, size)
                    print(name, result[name], flush=True)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    content = {
        "what": f"training steps, batch {size.batch}, {size.examples} images of noise, "
        f"{size.timed} steps timed after {size.warm}",
        "steps": result,
        "environment": environment() | {"gpu": gpu, "cuda": torch.version.cuda},
    }
    name = "gpu-dry-run.json" if asked.dry_run else "gpu.json"
    out = asked.out or Path(__file__).with_name(name)
    out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
