"""Runs of each kind of input and task that are small enough to be trained in a second or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee.api import Exported, export, train
from tests.conftest import digits


def images(n: int = 96) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)


def recipe(student: Any, **parts: Any) -> dict[str, Any]:
    data = {"source": "passed", "views": "none", "validation": 0.5, "test": None}
    base = {"data": data, "student": student, "method": "none"}
    base["train"] = {"epochs": 1, "batch": 16}
    return {**base, **{k: {**base.get(k, {}), **v} for k, v in parts.items()}}


def clips() -> dict[str, Any]:
    seconds = np.arange(2000) / 8000
    pitches = 200 * 2.0 ** (np.arange(64) % 4)
    waves = 0.5 * np.sin(2 * np.pi * pitches[:, None] * seconds)
    noise = 0.1 * np.random.default_rng(0).standard_normal(waves.shape)
    audio = (waves + noise).clip(-1, 1).astype(np.float32)
    return {"audio": audio, "sample_rate": 8000, "label": np.arange(64) % 4}


def texts() -> dict[str, Any]:
    words = "good fine great lovely", "bad poor awful Dreadful"
    rng = np.random.default_rng(0)
    text = [" ".join(rng.permutation(words[i % 2].split())[: 1 + i % 4]) for i in range(64)]
    return {"text": text, "label": ["good" if i % 2 == 0 else "bad" for i in range(64)]}


SMALL = {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}}
LABELS = np.random.default_rng(1)

MADE: dict[str, Callable[[], tuple[dict[str, Any], Any]]] = {
    "digits": lambda: (digits(train={"epochs": 3}), None),
    "several labels": lambda: (
        recipe(SMALL, data={"classes": ["red", "blue", "green"]}, select={"threshold": 0.4}),
        {"image": images(), "label": LABELS.integers(0, 2, (96, 3))},
    ),
    "regression": lambda: (
        recipe(SMALL, data={"classes": ["length", "width"], "task": "regression"}),
        {"image": images(), "label": LABELS.normal(50.0, 10.0, (96, 2))},
    ),
    "timm": lambda: (
        recipe("timm:test_resnet", data={"size": 32, "views": "random-resized-crop"}),
        {"image": images(32), "label": np.arange(32) % 3},
    ),
    "audio": lambda: (
        recipe("small-fcn", data={"sample_rate": 8000, "seconds": 0.25}),
        clips(),
    ),
    "text": lambda: (
        recipe(
            {"network": "hashed-bag", "options": {"buckets": 500}},
            data={"max_bytes": 24},
            train={"optimizer": "adamw", "lr": 0.03, "epochs": 4},
        ),
        texts(),
    ),
}


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """The folder of a run by its name in `MADE`, and the data that were passed to it."""
    made: dict[str, tuple[Path, Any]] = {}

    def run(name: str) -> tuple[Path, Any]:
        if name not in made:
            content, data = MADE[name]()
            out = tmp_path_factory.mktemp("runs") / name.replace(" ", "-")
            made[name] = train(content, out=out, data=data, quiet=True).path, data
        return made[name]

    return run


@pytest.fixture(scope="session")
def exported_of(
    run_of: Callable[[str], tuple[Path, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Exported]:
    """What `mentee.export` made of a run in a format; once for all tests."""
    made: dict[tuple[str, str], Exported] = {}

    def exported(name: str, format: str) -> Exported:
        if (name, format) not in made:
            run, data = run_of(name)
            out = tmp_path_factory.mktemp(format)
            made[name, format] = export(run, data=data, format=format, out=out)
        return made[name, format]

    return exported


@pytest.fixture(scope="session")
def digits_onnx(exported_of: Callable[[str, str], Exported]) -> Path:
    """The ONNX file of the run of digits."""
    return exported_of("digits", "onnx").path
