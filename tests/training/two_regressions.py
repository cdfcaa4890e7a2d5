"""Trainings of a regression, and of a student with idle layers, in one process or in two."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn

from mentee import record_network, train
from mentee.parallel import exit_process, rank, world

CASES = ("several", "recorded", "idle")
TEACHER = {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}}


def part(n: int, seed: int, name: str) -> dict[str, Any]:
    """Pictures that are as bright as their target says."""
    random = np.random.default_rng(seed)
    bright = random.random((n, 1, 1))
    pixels = (255 * bright * random.uniform(0.5, 1, (n, 8, 8))).astype(np.uint8)
    ids = [f"{name}/{i}" for i in range(n)]
    return {"image": pixels, "id": ids, "label": 3 + 10 * bright[:, 0, 0], "task": "regression"}


DATA = {"train": part(96, 0, "train"), "test": part(40, 1, "test")}


class Student(nn.Module):
    """A network without batch norm; `side` is read by a term alone, `idle` by nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.side, self.idle, self.fc = nn.Linear(8, 6), nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.body(torch.relu(self.stem(x)))).mean((2, 3))
        self.side(x)
        y: Tensor = self.fc(x)
        return y


def recipe(**parts: Any) -> dict[str, Any]:
    data = {"source": "arrays", "views": "none", "validation": None, "task": "regression"}
    schedule = {"epochs": 1, "batch": 24}
    return {"data": data, "train": schedule, "select": {"keep": "last"}} | parts


def teach(room: Path) -> None:
    """Two trained networks, and the record of one."""
    for seed, name in enumerate("ab"):
        each = recipe(student=TEACHER, train={"epochs": 1, "batch": 24, "seed": seed})
        train(each, data=DATA, out=room / name, quiet=True)
    live = recipe(student=TEACHER, teacher=taught(room, "a"), method="output-mse")
    record_network(live, room / "own", views=0, data=DATA, dtype="float32", say=str)


def taught(room: Path, name: str) -> dict[str, Any]:
    return TEACHER | {"weights": str(room / name / "student.safetensors")}


def case(room: Path, name: str, out: Path) -> dict[str, Any]:
    """The losses of each step, and the sums of the student's weights at the end."""
    teacher: dict[str, Any] = {"teachers": {each: taught(room, each) for each in "ab"}}
    method: Any = "output-mse"
    if name == "recorded":
        teacher = {"record": str(room / "own")}
    elif name == "idle":
        term = {"layers": ["side", "embedding"], "loss": "cka", "weight": 1.0}
        teacher, method = taught(room, "a"), {"name": "side", "terms": [term]}
    content = recipe(student="Student", teacher=teacher, method=method)
    torch.manual_seed(3)
    steps: list[dict[str, float]] = []
    train(
        content,
        data=DATA,
        student=Student(),
        out=out / name,
        quiet=True,
        on_step=lambda step: steps.append(dict(step.losses)),
    )
    state = load_file(out / name / "student.safetensors")
    return {"losses": steps, "weights": {key: float(x.sum()) for key, x in state.items()}}


def main(room: Path) -> None:
    """Each case in two processes; the first writes down what came of it."""
    Accelerator(cpu=True)  # for `rank`, before the first training
    assert world() == 2
    found = {name: case(room, name, room / "two") for name in CASES}
    if rank() == 0:
        (room / "found.json").write_text(json.dumps(found))
    exit_process(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
