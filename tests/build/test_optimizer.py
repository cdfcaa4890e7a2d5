"""The optimizer that a recipe leaves open: AdamW for texts, SGD for all else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mentee
from mentee.build.optimizer import resolve_optimizer
from mentee.recipe import Train, read
from mentee.recipe.probe import Tune
from tests.conftest import digits

NOTE = "train.optimizer: adamw with train.lr: 0.003, the default for texts, which SGD learns slowly"


@pytest.mark.parametrize(
    ("kind", "said", "optimizer", "lr"),
    [
        ("image", {}, "sgd", 0.05),
        ("audio", {}, "sgd", 0.05),
        ("vector", {"lr": 0.2}, "sgd", 0.2),
        ("image", {"optimizer": "adamw"}, "adamw", 0.05),
        ("text", {}, "adamw", 0.003),
        ("text", {"optimizer": "adamw"}, "adamw", 0.003),
        ("text", {"lr": 0.01}, "adamw", 0.01),
        ("text", {"optimizer": "sgd"}, "sgd", 0.05),
        ("text", {"optimizer": "sgd", "lr": 0.7}, "sgd", 0.7),
    ],
)
def test_what_a_recipe_says_wins(kind: str, said: Any, optimizer: str, lr: float) -> None:
    resolved = resolve_optimizer(Train(**said), kind)
    assert (resolved.optimizer, resolved.lr) == (optimizer, lr)
    tune = resolve_optimizer(Tune(**said), kind, 0.01)
    assert (tune.optimizer, tune.lr) == (optimizer, 0.01 if lr == 0.05 else lr)


@pytest.mark.parametrize("said", [{}, {"optimizer": "sgd", "lr": 0.02}], ids=["default", "sgd"])
def test_a_run_on_texts_writes_what_it_used(
    said: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["good", "fine", "bad", "poor"]
    texts = [f"a {words[i % 4]} film {i}" for i in range(40)]
    data = {"text": texts, "label": [i % 4 // 2 for i in range(40)]}
    train = {"epochs": 1, "batch": 8, **said}
    recipe = {"data": "passed", "student": "hashed-bag-small", "train": train}
    run = mentee.train(recipe, data={"train": data, "test": data}, out=tmp_path / "run")
    resolved = read(run.path / "recipe.yaml").train
    expected = ("sgd", 0.02) if said else ("adamw", 0.003)
    assert (resolved.optimizer, resolved.lr) == expected
    assert (NOTE in capsys.readouterr().out) is not bool(said)
    notes = json.loads((run.path / "environment.json").read_text())["network_notes"]
    assert (NOTE in notes) is not bool(said)


def test_a_run_on_images_keeps_sgd(tmp_path: Path) -> None:
    recipe = digits(train={"epochs": 1}, data={"limit": 32})
    run = mentee.train(recipe, out=tmp_path / "run", quiet=True)
    resolved = read(run.path / "recipe.yaml").train
    assert (resolved.optimizer, resolved.lr) == ("sgd", 0.05)
