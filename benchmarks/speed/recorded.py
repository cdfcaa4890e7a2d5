"""What a step costs with a recorded teacher: against no teacher, and against the live one.

ResNet-8 student, ResNet-20 teacher, batch 64, a training set (and bank) of 50,000 images of noise,
a float16 record of one view. Steps of each method, of no teacher and of the live teacher are taken
in turn, in one process. Beside the contrasts stand their matrix products alone: scores and gradient
of both sides of each module, by the quickest of torch's ways, on rows that lie in memory already.
Then the record alone: random rows of 768 float16 numbers, 256 at a time. Each of it with one thread
and with as many as `--threads` says.

    python benchmarks/speed/recorded.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import environment, in_turn, summary

from mentee import models, record_network
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.data import open_examples
from mentee.distillation.loop import train
from mentee.losses.matmul import product
from mentee.recipe import read
from mentee.records import import_record
from mentee.types import Step

N, ROUNDS, WIDTH, ROWS_AT_ONCE = 50_000, 40, 768, 256
BATCH, SPACE = 64, 128
CONTRASTS = {
    f"{method}, K {k}{text}": (method, k, dtype)
    for method in ("crd-bank", "cktf-bank")
    for k in (4096, 16384)
    for dtype, text in (("float32", ""), ("bfloat16", ", bfloat16"))
}
MODULES = {"crd-bank": 1, "cktf-bank": 5}
RECIPE: dict[str, Any] = {
    "data": {"source": "noise", "validation": None, "test": None},
    "student": {"network": "resnet8-cifar", "input": "cifar10"},
}
LIVE = {"network": "resnet20-cifar", "input": "cifar10"}


def steps(recipe: dict[str, Any], options: PythonOverrides) -> Iterator[Step]:
    """The steps of a run on noise, all of one view."""
    parts = build(read(recipe), options)
    return train(
        parts.module,
        parts.teacher,
        lambda epoch, start: parts.splits.epoch(parts.recipe.train, 0, start),
        parts.optimizer,
        parts.plan,
        parts.accelerator,
    )


def products(method: str, k: int, dtype: str) -> Callable[[], object]:
    """The contrast's four products a module and step: 5.4 GFLOP for `cktf` and K 16,384."""
    rows = torch.randn(MODULES[method], 2, k, SPACE).to(getattr(torch, dtype))
    anchors = torch.randn(BATCH, SPACE).to(rows.dtype)

    def call() -> None:
        for module in rows:
            for negatives in module:
                product(product(anchors, negatives.T), negatives)

    return call


def measure_steps(folder: str, data: dict[str, Any], teacher: torch.nn.Module) -> dict[str, Any]:
    """Milliseconds without a teacher, and each method's in units of that."""
    text: dict[str, Any] = {"kd": "kd"}
    for name, (method, k, dtype) in CONTRASTS.items():
        text[name] = {"name": method, "params": {"memory.negatives": k, "memory.dtype": dtype}}
    result, alone = {}, steps(RECIPE, PythonOverrides(data=data)).__next__
    for name, method in text.items():
        recorded = RECIPE | {"method": method, "teacher": {"record": folder}}
        live = RECIPE | {"method": method, "teacher": LIVE}
        calls: dict[str, Callable[[], object]] = {
            "none": alone,
            "recorded": steps(recorded, PythonOverrides(data=data)).__next__,
            "live": steps(live, PythonOverrides(data=data, teacher=teacher)).__next__,
        }
        if name in CONTRASTS:
            calls["products"] = products(*CONTRASTS[name])
        times = in_turn(calls, ROUNDS)
        ratios = summary(times, "none")
        result[name] = {
            "none_ms": ratios["none"]["median_ms"],
            "recorded_times_none": ratios["recorded"]["times_none"],
            "live_times_none": ratios["live"]["times_none"],
        }
        if name in CONTRASTS:
            extra = [a - b for a, b in zip(times["recorded"], times["none"], strict=True)]
            floor = ratios["products"]["median_ms"]
            result[name] |= {
                "extra_ms": round(statistics.median(extra), 2),
                "products_ms": floor,
                "extra_times_products": round(statistics.median(extra) / floor, 2),
            }
        print(torch.get_num_threads(), name, result[name], flush=True)
    return result


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1, help="beside one")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    requested = parser.parse_args()
    random = np.random.default_rng(0)
    data = {
        "image": random.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8),
        "label": np.arange(N) % 10,
    }
    teacher = models.build("resnet20-cifar", classes=10, seed=0)
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        record_network(
            RECIPE | {"teacher": LIVE, "method": "cktf-bank"},
            folder,
            names=["kd", "cktf-bank"],
            views=1,
            data=data,
            teacher=teacher,
        )
        for threads in sorted({1, requested.threads}):
            torch.set_num_threads(threads)
            key = "steps" if threads == 1 else f"steps_with_{threads}_threads"
            result[key] = measure_steps(folder, data, teacher)
        rate = rows_a_second(Path(folder))
        print("rows a second", rate)
    content = {
        "what": f"one training step, ResNet-8 student, ResNet-20 teacher, batch {BATCH}, "
        f"{N} examples; recorded: float16, one view",
        **result,
        "reading": {"rows_a_second": rate, "numbers": WIDTH, "dtype": "float16", "threads": 1},
        "environment": environment(),
    }
    requested.out.write_text(json.dumps(content, indent=2) + "\n")


def rows_a_second(folder: Path) -> dict[str, int]:
    """Random rows of a warm record, `ROWS_AT_ONCE` at a time: as stored, and as float32."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    np.save(folder / "v.npy", np.zeros((N, WIDTH), np.float16))
    texts = [str(i) for i in range(N)]
    examples = open_examples({"text": texts, "id": texts})
    made = import_record(folder / "v.npy", examples, folder / "v", name="zeros", in_order=True)
    order = np.random.default_rng(0).permutation(N)[: N // ROWS_AT_ONCE * ROWS_AT_ONCE]
    parts = order.reshape(-1, ROWS_AT_ONCE)

    def collect_features(read: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: [read(part) for part in parts]

    calls = {"stored": collect_features(made.stored), "float32": collect_features(made.tensor)}
    times = in_turn(calls, ROUNDS // 4)
    torch.set_num_threads(threads)
    return {name: round(len(order) / (sorted(t)[len(t) // 2] / 1e3)) for name, t in times.items()}


if __name__ == "__main__":
    main()
