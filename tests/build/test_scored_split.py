"""Which part of other data a student is scored on where no split is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee import train
from mentee.build.evaluation_data import split_to_score

TABLE = "text,label\na b,0\nb c,1\n"


@pytest.mark.parametrize(
    ("files", "wanted", "expected"),
    [
        (["test/a/1.png", "train/a/1.png"], "val", "test"),
        (["val/a/1.png", "train/a/1.png"], "test", "validation"),
        (["test/a/1.png", "val/a/1.png"], "val", "val"),
        (["a/1.png", "b/2.png"], "test", "train"),
        (["1.png", "2.png"], "test", "train"),
        (["dev.csv", "train.csv"], "test", "validation"),
        (["holdout.csv"], "test", "holdout"),
        (["one.csv", "two.csv"], "test", "test"),
    ],
)
def test_the_split_of_a_folder(
    files: list[str], wanted: str, expected: str, tmp_path: Path
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(TABLE)
    assert split_to_score(str(tmp_path), wanted) == expected


def test_a_name_has_the_runs_own_part(tmp_path: Path) -> None:
    assert split_to_score("embedded:digits", "test") == "test"
    (tmp_path / "few.csv").write_text(TABLE)
    assert split_to_score(str(tmp_path / "few.csv"), "test") == "train"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = {"text": ["a b", "b c"] * 8, "label": [0, 1] * 8}
    recipe = {
        "data": {"source": "x"},
        "student": {"network": "hashed-bag"},
        "train": {"epochs": 1, "batch": 4},
    }
    splits = {"train": data, "test": data}
    return train(recipe, data=splits, out=tmp_path_factory.mktemp("runs") / "run", quiet=True)


@pytest.mark.parametrize("name", ["holdout.csv", "validation.csv", "few.csv"])
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_other_data_are_scored(run: Any, name: str, whole: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TABLE)
    scores = run.evaluate(data=str(tmp_path if whole else tmp_path / name))
    assert scores["accuracy"] in np.arange(3) / 2
