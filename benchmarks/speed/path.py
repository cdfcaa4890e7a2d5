"""What else than the networks a run spends its time on: data, views, book-keeping, scores.

Real recipes from begin to end, each in a process of its own, with one and with two threads:
5,000 images of CIFAR-10 (`crop-flip`), 2,297 clips of single notes (1 s at 16 kHz, `shift` and
`mask`), 7,246 short texts (`drop`); batch 64, scored on validation after each epoch. Needs
`MENTEE_DATA`.

    python benchmarks/speed/path.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from measure import environment

import mentee
from mentee.build import datasets
from mentee.data import loader
from mentee.distillation import loop
from mentee.training import trainer

DATA = Path(os.environ.get("MENTEE_DATA", "."))
ADAMW = {"optimizer": "adamw", "lr": 1e-3}
CLIPS = {"source": str(DATA / "philharmonia"), "validation": "validation", "seconds": 1.0}
TEXTS = {"source": str(DATA / "sentiment"), "validation": "validation", "length": 200}
PHOTOS = {"source": "cifar10", "validation": 0.05, "limit": 5000, "views": "crop-flip"}
RECIPES: dict[str, dict[str, Any]] = {
    "resnet8-cifar": {
        "data": PHOTOS,
        "student": {"network": "resnet8-cifar", "input": "cifar10"},
        "train": {"epochs": 2},
    },
    "small-fcn, shift": {
        "data": CLIPS | {"views": "shift"},
        "student": "small-fcn",
        "train": ADAMW | {"epochs": 3},
    },
    "small-fcn, mask": {
        "data": CLIPS | {"views": "mask"},
        "student": "small-fcn",
        "train": ADAMW | {"epochs": 3},
    },
    "char-cnn-small": {
        "data": TEXTS | {"views": "drop"},
        "student": "char-cnn-small",
        "train": ADAMW | {"epochs": 2},
    },
    "hashed-bag-small": {
        "data": TEXTS | {"views": "drop"},
        "student": "hashed-bag-small",
        "train": ADAMW | {"epochs": 6},
    },
}
STEP = ("waiting for data", "forward", "backward", "optimizer", "loop")
BOOKS = ("between steps", "lines", "checkpoints")


class Clock:
    """Seconds spent in named parts of a run; a part inside another counts for itself alone."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = time.perf_counter()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.spent[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Whatever happens meanwhile is of this part."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, its time counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return call(*args, **kwargs)

        return counted

    def items(self, name: str, of: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same iterator, the time until each item counted."""

        def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with self.part(name):
                items = of(*args, **kwargs)
            while True:
                with self.part(name):
                    item = next(items, None)
                if item is None:
                    return
                yield item

        return counted


def measured(name: str, ahead: bool) -> dict[str, Any]:
    """One run: milliseconds a step of each part, and what is made of them."""
    clock, parts = Clock(), trainer.Training
    optimizer = mentee.build.setup.build_optimizer

    def rule(*args: Any) -> Any:
        made = optimizer(*args)
        made.step = clock.timed("optimizer", made.step)
        return made

    changes = [
        patch.object(
            datasets.DatasetSplits,
            "epoch",
            clock.items("waiting for data", datasets.DatasetSplits.epoch),
        ),
        patch.object(
            loop.DistillationModule,
            "forward",
            clock.timed("forward", loop.DistillationModule.forward),
        ),
        patch.object(
            loop.Accelerator, "backward", clock.timed("backward", loop.Accelerator.backward)
        ),
        patch.object(mentee.build.setup, "build_optimizer", rule),
        patch.object(parts, "_validate", clock.timed("validation", parts._validate)),
        patch.object(parts, "_save", clock.timed("checkpoints", parts._save)),
        patch.object(parts, "_log", clock.timed("lines", parts._log)),
        patch.object(trainer, "train", clock.items("loop", trainer.train)),
        patch.object(parts, "_train", clock.timed("between steps", parts._train)),
        patch.object(trainer, "finish", lambda p, f, g, last, *_: {"steps": last.number}),
    ]
    if not ahead:
        changes.append(patch.object(loader, "ahead", lambda items: items))
    recipe = RECIPES[name]
    recipe["data"]["test"] = None
    with tempfile.TemporaryDirectory() as folder:
        for change in changes:
            change.start()
        steps = mentee.train(recipe, out=Path(folder) / "run", quiet=True).summary["steps"]
        patch.stopall()
    spent = {part: 1e3 * seconds / steps for part, seconds in clock.spent.items()}
    step = sum(spent[part] for part in STEP)
    return {
        "ms": {part: round(ms, 3) for part, ms in spent.items()},
        "step_ms": round(step, 2),
        "data_share": round(spent["waiting for data"] / step, 4),
        "books_share": round(sum(spent[part] for part in BOOKS) / step, 4),
    }


def here(name: str, threads: int, ahead: bool) -> dict[str, Any]:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, name, str(int(ahead))],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure, print and write the numbers."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    if len(sys.argv) > 1:
        print(json.dumps(measured(sys.argv[1], sys.argv[2] == "1")))
        return
    result: dict[str, Any] = {}
    for name in RECIPES:
        result[name] = {}
        for threads in (1, 2):
            result[name][f"{threads} threads"] = here(name, threads, ahead=True)
            if "fcn" in name:
                alone = here(name, threads, ahead=False)
                for what in ("data_share", "step_ms"):
                    result[name][f"{threads} threads"][f"{what}_not_ahead"] = alone[what]
            print(name, threads, result[name][f"{threads} threads"], flush=True)
    content = {
        "what": "milliseconds a step of each part of a run, batch 64; shares of the step, which is "
        "waiting for data, forward, backward, optimizer and the loop around them",
        "runs": result,
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
