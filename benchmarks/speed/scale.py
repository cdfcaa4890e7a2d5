"""What the memories cost by the number of examples: seconds, bytes, and a record of a network.

A step of the contrast alone, both directions, forward, backward and the memory's write, of one
module and of five that share a draw, width 128, one thread, all memories in turn. The same of a
bank that is sharded over two processes. Then a record of ResNet-20 on CIFAR-like noise: its bytes,
and reading it; what a ResNet-50 would leave; what the examples themselves take.
It takes less than 6 GB.

    python benchmarks/speed/scale.py            measure and write scale.json
    python benchmarks/speed/scale_pages.py      print the tables of docs/scale.md from it
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from measure import environment, in_turn, peak_growth

from mentee import features, models, record_network
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.data import batches, build_views, open_examples
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.distillation.terms import blank
from mentee.losses import contrast
from mentee.memory import MEMORIES, Memory
from mentee.methods import find
from mentee.parallel import exit_process, rank
from mentee.recipe import read
from mentee.representations import unit_norm

WIDTH, MODULES, CLASSES = 128, 5, 100
ROUNDS = int(os.environ.get("ROUNDS", "9"))
CIFAR, IMAGENET = 50_000, 1_280_000
LOG_Z = torch.tensor([10.8, 10.8])
CASES: list[dict[str, Any]] = [
    {"memory": "bank", "examples": CIFAR, "negatives": CIFAR, "dtype": "float32", "modules": 1},
    {"memory": "bank", "examples": CIFAR, "negatives": 16384, "dtype": "float32"},
    {"memory": "bank", "examples": CIFAR, "negatives": 4096, "dtype": "float32"},
    {"memory": "bank", "examples": CIFAR, "negatives": 16384, "dtype": "bfloat16"},
    {"memory": "bank", "examples": IMAGENET, "negatives": 16384, "dtype": "bfloat16"},
    {"memory": "bank", "examples": IMAGENET, "negatives": 4096, "dtype": "bfloat16"},
    {"memory": "queue", "examples": IMAGENET, "negatives": 16384, "dtype": "float32"},
    {"memory": "queue", "examples": IMAGENET, "negatives": 4096, "dtype": "float32"},
    {"memory": "batch", "examples": IMAGENET},
]
SIZES = [(1, 64), (MODULES, 64), (1, 256), (MODULES, 256)]
RECIPE: dict[str, Any] = {
    "data": {"source": "noise", "views": "crop-flip", "validation": None, "test": None},
    "student": {"network": "resnet8-cifar", "input": "cifar10"},
    "method": "cktf-bank+kd",
}
TEACHERS = {"resnet20-cifar": (32, 10), "torchvision:resnet50": (224, 1000)}


def memory_of(case: dict[str, Any], modules: int = MODULES) -> Memory:
    """A memory of some modules, as a method with as many terms has it."""
    numbers = {key: case[key] for key in ("negatives", "dtype") if key in case}
    groups = torch.arange(case["examples"]) % CLASSES
    return MEMORIES[case["memory"]]([str(i) for i in range(modules)], groups, WIDTH, **numbers)


def same_rows(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two banks could keep the same rows."""
    keys = ("memory", "examples", "dtype", "modules")
    return one["memory"] == "bank" and all(one.get(k) == other.get(k) for k in keys)


def step(memory: Memory, modules: int, batch: int) -> Callable[[], None]:
    """Draw, losses, gradients and the write of a batch."""
    memory = copy.copy(memory)  # what is read of one step is no other's
    memory._read = {}
    anchors = [x.requires_grad_() for x in unit_norm(torch.randn(2 * modules, batch, WIDTH))]
    number = 0

    def call() -> None:
        nonlocal number
        memory.begin(torch.randint(len(memory.groups), (batch,)), number)
        losses = []
        for i in range(modules):
            student, teacher = anchors[2 * i : 2 * i + 2]
            negatives = memory.read(str(i), student, teacher)
            losses.append(contrast(student, teacher, negatives=negatives, log_z=LOG_Z).mean())
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        memory.write()
        number += 1

    return call


def steps() -> list[dict[str, Any]]:
    """Median milliseconds of each memory's steps, and the bytes that it keeps a module."""
    memories: list[Memory] = []
    for case in CASES:
        alike = [m for m, c in zip(memories, CASES, strict=False) if same_rows(c, case)]
        if alike:  # one store for both: the machine is small
            memories.append(copy.copy(alike[0]))
            memories[-1].negatives = case["negatives"]  # type: ignore[attr-defined]
        else:
            memories.append(memory_of(case, case.get("modules", MODULES)))
    for memory in memories:
        if getattr(memory, "length", 0):  # a queue that is full
            memory.pushed += memory.length
    calls = {
        (i, size): step(memory, *size)
        for i, memory in enumerate(memories)
        for size in SIZES
        if size[0] <= CASES[i].get("modules", MODULES)
    }
    times = in_turn({str(key): call for key, call in calls.items()}, ROUNDS)
    return [
        {
            **case,
            "bytes": memory.stores["0"].numel() * memory.stores["0"].element_size(),
            "ms": {
                f"{modules} modules, batch {batch}": round(
                    statistics.median(times[str((i, (modules, batch)))]), 2
                )
                for modules, batch in SIZES
                if (i, (modules, batch)) in calls
            },
        }
        for i, (case, memory) in enumerate(zip(CASES, memories, strict=True))
    ]


def in_two_processes() -> dict[str, Any]:
    """Median milliseconds of a step of a bank that each of two holds, and of a sharded one."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, __file__, "--one-of-two"],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def one_of_two() -> None:
    """What each of the two processes does; the first one prints what it took."""
    Accelerator(cpu=True)
    torch.set_num_threads(1)
    case = {"examples": CIFAR, "negatives": 16384, "dtype": "float32"}
    memories = {kind: memory_of(case | {"memory": kind}) for kind in ("bank", "sharded_bank")}
    times = in_turn({kind: step(memory, MODULES, 64) for kind, memory in memories.items()}, ROUNDS)
    if rank() == 0:
        sizes = {kind: memory.stores["0"][0].shape[0] for kind, memory in memories.items()}
        ms = {kind: round(statistics.median(each), 2) for kind, each in times.items()}
        print(json.dumps({**case, "modules": MODULES, "batch": 64, "rows": sizes, "ms": ms}))
    exit_process(0)


def recorded(examples: int = 512) -> dict[str, Any]:
    """A record of one view: bytes on disk, microseconds to read, an example."""
    random = np.random.default_rng(0)
    data = {
        "image": random.integers(0, 256, (examples, 32, 32, 3), dtype=np.uint8),
        "label": np.arange(examples) % 10,
    }
    options = PythonOverrides(data=data, teacher=models.build("resnet20-cifar", classes=10, seed=0))
    live = RECIPE | {"teacher": {"network": "resnet20-cifar", "input": "cifar10"}}
    with tempfile.TemporaryDirectory() as folder:
        record_network(live, folder, views=1, data=data, teacher=options.teacher)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        parts = build(read(RECIPE | {"teacher": {"record": folder}}), PythonOverrides(data=data))
        assert parts.teacher is not None
        some = list(parts.splits.epoch(parts.recipe.train, 0, 0))
        times = []
        for _ in range(ROUNDS):
            for batch in some:
                began = time.perf_counter()
                parts.teacher(batch)
                times.append((time.perf_counter() - began) / len(batch))
        size = sum(path.stat().st_size for path in files if path.suffix == ".npy")
    return {
        "network": "resnet20-cifar",
        "dtype": "float16",
        "bytes_an_example_and_view": round(size / examples / 2, 1),
        "us_to_read_an_example": round(1e6 * statistics.median(times), 2),
    }


def numbers(network: str) -> int:
    """What `cktf-bank+kd` reads of a network: numbers an example and view that a record keeps."""
    size, classes = TEACHERS[network]
    method = find("cktf-bank+kd")
    built = models.build(network, classes=classes, channels=3, seed=0)
    places = features.resolve(built, required_layers(method)[1], torch.rand(2, 3, size, size))
    shapes = {place.name: place.shape for place in places}
    criterion = DistillationLoss(method, shapes, shapes, groups=None, examples=2)
    stored = {
        bound.pair.teacher.reduced(side.reduction): side.precompute(
            blank(bound.pair.teacher.select(shapes))
        ).numel()
        for bound in criterion.bound_terms
        for side in [criterion.adapters_of(bound)[1]]
    }
    return sum(stored.values())


def examples_of(n: int) -> Any:
    """Examples of which nothing but ids, classes and rows takes memory."""
    return open_examples({"image": np.zeros((n, 1, 1), np.uint8), "label": np.arange(n) % 10})


def source(n: int) -> Callable[[], object]:
    """For `peak_growth`: what opening `n` examples takes."""
    examples_of(100)
    stored: list[Any] = []
    return lambda: stored.append(examples_of(n))


def order_of_an_epoch(n: int) -> float:
    """Seconds until the first batch of an epoch of `n` examples may be read."""
    examples, views = examples_of(n), build_views("none", seed=0)
    times = []
    for epoch in range(5):
        began = time.perf_counter()
        batches(examples, batch=256, views=views, view=0, seed=0, epoch=epoch)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Measure, print and write the numbers."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    torch.manual_seed(0)
    torch.set_num_threads(1)
    content = {
        "what": f"the contrast's part of a step, width {WIDTH}; a record of cktf-bank+kd",
        "width": WIDTH,
        "steps": steps(),
        "rounds": ROUNDS,
        "two_processes": in_two_processes(),
        "record": recorded() | {"numbers": {name: numbers(name) for name in TEACHERS}},
        "examples": {
            "bytes_an_example": round(1e6 * peak_growth(partial(source, IMAGENET)) / IMAGENET, 1),
            "order_seconds": {str(n): round(order_of_an_epoch(n), 3) for n in (CIFAR, IMAGENET)},
        },
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    one_of_two() if "--one-of-two" in sys.argv else main()
