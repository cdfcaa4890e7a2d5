"""What a recorded embedding adds to an epoch: each method against the same student without teacher.

1,024 images (32×32), 2,048 clips (1 s at 16 kHz) or 4,096 texts (120 bytes), all noise; batch 64, a
record of 512-d vectors (float16). An epoch is all its steps, data and teacher's look-up included;
epochs of each method and of `none` are taken in turn.

    python benchmarks/speed/record.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from measure import environment, in_turn, summary

from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.data import open_examples
from mentee.distillation.loop import train
from mentee.recipe import read
from mentee.records import import_record
from mentee.types import Step

WIDTH, BATCH, ROUNDS, CLASSES = 512, 64, 7, 10
COUNTS = {"image": 1024, "audio": 2048, "text": 4096}
STUDENTS = {
    "resnet8-cifar": "image",
    "small-fcn": "audio",
    "char-cnn-small": "text",
    "hashed-bag-small": "text",
}
METHODS = ("east", "ec", "to-teacher", "similarity", "ec+probe-kd")


def contents() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Kind → (arrays, keys of `data`)."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefghij"), 5)) for _ in range(500)]
    return {
        "image": (
            {"image": random.integers(0, 256, (COUNTS["image"], 32, 32, 3), dtype=np.uint8)},
            {"views": "crop-flip"},
        ),
        "audio": (
            {
                "audio": (0.1 * random.standard_normal((COUNTS["audio"], 16000))).astype(
                    np.float32
                ),
                "rate": 16000,
            },
            {"seconds": 1.0, "views": "mask"},
        ),
        "text": (
            {"text": [" ".join(random.choice(words, 20)) for _ in range(COUNTS["text"])]},
            {"length": 120, "views": "none"},
        ),
    }


def steps(recipe: dict[str, Any], arrays: dict[str, Any]) -> Iterator[Step]:
    """The steps of a run that never ends, for our purposes."""
    parts = build(read(recipe), PythonOverrides(data=arrays))
    return train(
        parts.module,
        parts.teacher,
        lambda epoch, start: parts.splits.epoch(parts.recipe.train, epoch, start),
        parts.optimizer,
        parts.plan,
        parts.accelerator,
    )


def epoch(of: Iterator[Step], n: int) -> Callable[[], list[Step]]:
    """A call that takes one epoch of steps."""
    return lambda: list(islice(of, n // BATCH))


def main() -> None:
    """Measure, print and write the numbers."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    result: dict[str, Any] = {}
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        made = contents()
        for student, kind in STUDENTS.items():
            n, (arrays, data) = COUNTS[kind], made[kind]
            arrays["label"] = np.arange(n) % CLASSES
            vectors = random.standard_normal((n, WIDTH)).astype(np.float16)
            np.save(f"{folder}/vectors.npy", vectors)
            import_record(
                Path(folder) / "vectors.npy",
                open_examples(arrays),
                Path(folder) / student,
                name="noise",
                in_order=True,
            )
            recipe = {
                "data": {"source": "noise", "validation": None, "test": None, **data},
                "student": student,
                "train": {"batch": BATCH, "epochs": 1000, "optimizer": "adamw", "lr": 1e-3},
            }
            distilled = recipe | {"teacher": {"record": f"{folder}/{student}", "clean": True}}
            calls = {"none": epoch(steps(recipe, arrays), n)}
            for method in METHODS:
                calls[method] = epoch(steps(distilled | {"method": method}, arrays), n)
            result[student] = summary(in_turn(calls, ROUNDS), "none")
            print(student, result[student], flush=True)
    content = {
        "what": f"one epoch, batch {BATCH}, with a record of {WIDTH}-d vectors, against the same "
        "student without teacher",
        "examples": COUNTS,
        "epochs": result,
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
