"""What the layout of maps and `torch.compile` do to a step: each student, computed in each way.

Forward, backward and optimizer of students of CIFAR-10's images, of clips of a second at 16 kHz
and of texts of 200 bytes, batch 64, all noise; as the loop computes them, taken in turn.

    python benchmarks/speed/compiled.py
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measure import environment, in_turn, summary
from torch import Tensor
from torch.nn import functional as F

from mentee import models
from mentee.distillation.loop import CompiledForward

BATCH, CLASSES, ROUNDS = 64, 10, 25
STUDENTS: dict[str, Callable[[], Tensor]] = {
    "resnet8-cifar": lambda: torch.rand(BATCH, 3, 32, 32),
    "mobilenetv2-cifar": lambda: torch.rand(BATCH, 3, 32, 32),
    "small-fcn": lambda: torch.rand(BATCH, 16_000) * 2 - 1,
    "char-cnn-small": lambda: torch.randint(32, 127, (BATCH, 200), dtype=torch.uint8),
}
WAYS = {
    "channels-last": {"channels_last": True, "compiled": False},
    "contiguous": {"channels_last": False, "compiled": False},
    "compiled": {"channels_last": True, "compiled": True},
}


def step(student: str, inputs: Tensor, how: dict[str, bool]) -> Callable[[], None]:
    """A training step of a new student."""
    network = models.build(student, classes=CLASSES, seed=0).train()
    computed = CompiledForward(network, **how)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    labels = torch.arange(BATCH) % CLASSES

    def call() -> None:
        F.cross_entropy(computed(inputs), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return call


def measured(student: str) -> dict[str, object]:
    """One student, in a process that has compiled nothing yet and finds nothing compiled."""
    inputs = STUDENTS[student]()
    calls = {way: step(student, inputs, how) for way, how in WAYS.items()}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        began = time.perf_counter()
        calls["compiled"]()
        seconds = time.perf_counter() - began
    times = summary(in_turn(calls, ROUNDS), "channels-last")
    saved = times["channels-last"]["median_ms"] - times["compiled"]["median_ms"]
    return {
        **times,
        "seconds_to_compile": round(seconds, 1),
        "pays_after_steps": round(1e3 * seconds / saved) if saved > 0 else None,
    }


def main() -> None:
    """Measure, print and write the numbers."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    result: dict[str, dict[str, object]] = {}
    for student in STUDENTS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            result[student] = pool.apply(measured, (student,))
            pool.close()  # let the compiler's own workers end
            pool.join()
        print(student, result[student], flush=True)
    content = {
        "what": f"one step of a student alone, batch {BATCH}, as the loop computes it",
        "students": result,
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
