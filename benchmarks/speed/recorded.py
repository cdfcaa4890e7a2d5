"""What a step costs with a recorded teacher: against no teacher, and against the live one.

ResNet-8 student, ResNet-20 teacher, batch 64, a training set (and bank) of 50,000 images of noise,
a float16 record of one view. Steps of each method, of no teacher and of the live teacher are taken
in turn, in one process. Then the record alone: random rows of 768 float16 numbers, 256 at a time.

    python benchmarks/speed/recorded.py
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import environment, in_turn, summary

from mentee import models, record_network
from mentee.data import open_examples
from mentee.loop import train
from mentee.recipe import read
from mentee.run.networks import Given
from mentee.run.parts import build
from mentee.teachers.record import import_record
from mentee.types import Step

N, ROUNDS, WIDTH, ROWS_AT_ONCE = 50_000, 40, 768, 256
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "kd": ("kd", {}),
    "crd, K 16384": ("crd", {}),
    "cktf, K 4096": ("cktf", {"memory.negatives": 4096}),
    "cktf, K 16384": ("cktf", {}),
}
RECIPE: dict[str, Any] = {
    "data": {"source": "noise", "validation": None, "test": None},
    "student": {"network": "resnet8-cifar", "input": "cifar10"},
}
LIVE = {"network": "resnet20-cifar", "input": "cifar10"}


def steps(recipe: dict[str, Any], given: Given) -> Iterator[Step]:
    """The steps of a run on noise, all of one view."""
    parts = build(read(recipe), given)
    return train(
        parts.trainee,
        parts.teacher,
        lambda epoch, start: parts.sets.epoch(parts.recipe.train, 0, start),
        parts.optimiser,
        parts.plan,
        parts.accelerator,
    )


def main() -> None:
    """Measure, print and write the numbers."""
    random = np.random.default_rng(0)
    data = {
        "image": random.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8),
        "label": np.arange(N) % 10,
    }
    teacher = models.build("resnet20-cifar", classes=10, seed=0)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        record_network(
            RECIPE | {"teacher": LIVE, "method": "cktf"},
            folder,
            names=["kd", "cktf"],
            views=1,
            data=data,
            teacher=teacher,
        )
        alone = steps(RECIPE, Given(data=data)).__next__
        for name, (method, numbers) in ROWS.items():
            said = {"name": method, "numbers": numbers}
            recorded = RECIPE | {"method": said, "teacher": {"record": folder}}
            live = RECIPE | {"method": said, "teacher": LIVE}
            calls: dict[str, Callable[[], object]] = {
                "none": alone,
                "recorded": steps(recorded, Given(data=data)).__next__,
                "live": steps(live, Given(data=data, teacher=teacher)).__next__,
            }
            times = summary(in_turn(calls, ROUNDS), "none")
            found[name] = {
                "none_ms": times["none"]["median_ms"],
                "recorded_times_none": times["recorded"]["times_none"],
                "live_times_none": times["live"]["times_none"],
            }
            print(name, found[name], flush=True)
        rate = rows_a_second(Path(folder))
        print("rows a second", rate)
    content = {
        "what": "one training step, ResNet-8 student, ResNet-20 teacher, batch 64, "
        f"{N} examples; recorded: float16, one view",
        "steps": found,
        "reading": {"rows_a_second": rate, "numbers": WIDTH, "dtype": "float16", "threads": 1},
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")


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

    def read_all(read: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: [read(part) for part in parts]

    calls = {"stored": read_all(made.stored), "float32": read_all(made.tensor)}
    times = in_turn(calls, ROUNDS // 4)
    torch.set_num_threads(threads)
    return {name: round(len(order) / (sorted(t)[len(t) // 2] / 1e3)) for name, t in times.items()}


if __name__ == "__main__":
    main()
