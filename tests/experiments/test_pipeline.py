"""The whole chain by one command, whatever stops it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentee import pipeline
from mentee.errors import RunError
from tests.experiments.conftest import label_free
from tests.processes import Forked
from tests.training.test_resume import assert_same, wait_for_checkpoint

Begin = Callable[..., Forked]
FEW = {"memory.negatives": 48}


def recipe(teacher: dict[str, Any]) -> dict[str, Any]:
    return label_free(
        teacher,
        method={"name": "cktf-bank", "params": FEW},
        train={"epochs": 4, "batch": 32},
        save={"steps": 5, "minutes": None},
        monitor={"limit": 100},
        probe={
            "shares": [0.05, 1.0],
            "seeds": 2,
            "ways": ["knn", "linear", "finetune"],
            "finetune": {"epochs": 1, "least": 30},
        },
    )


def wait_for(process: Forked, path: Path) -> None:
    for _ in range(20_000):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError(f"no {path}")


def test_a_chain_that_is_killed_twice_is_the_chain(
    begin: Begin, teacher: dict[str, Any], file: Any, tmp_path: Path
) -> None:
    path = file(recipe(teacher))
    command = ("-m", "mentee.cli", "pipeline", path, "--views", "2", "--out")
    whole = begin(*command, tmp_path / "whole")
    cut = begin(*command, tmp_path / "cut")
    wait_for_checkpoint(cut, tmp_path / "cut" / "run", 10)
    os.kill(cut.pid, signal.SIGKILL)
    cut.wait()
    assert not (tmp_path / "cut" / "run" / "summary.json").exists()
    again = begin(*command, tmp_path / "cut")
    wait_for(again, tmp_path / "cut" / "run" / "probe")
    os.kill(again.pid, signal.SIGKILL)
    again.wait()
    last = begin(*command, tmp_path / "cut")
    out, err = last.communicate(timeout=300)
    assert last.returncode == 0, err
    assert "student    finetune  0." in out
    assert whole.wait(300) == 0, whole.communicate()
    assert_same(tmp_path / "cut" / "run", tmp_path / "whole" / "run")
    rows = [
        json.loads((tmp_path / name / "run" / "probe.json").read_text())["rows"]
        for name in ("cut", "whole")
    ]
    assert rows[0] == rows[1]
    assert {row["who"] for row in rows[0]} == {"student", "untrained", "teacher"}
    assert "## Scores with few labels" in (tmp_path / "cut" / "run" / "report.md").read_text()


def test_a_folder_of_another_chain_is_refused(teacher: dict[str, Any], tmp_path: Path) -> None:
    short = {**recipe(teacher), "probe": {"shares": [0.05], "seeds": 1, "ways": ["knn"]}}
    lines: list[str] = []
    found = pipeline(short, views=1, out=tmp_path / "c", quiet=True, say=lines.append)
    assert (tmp_path / "c" / "record" / "train" / "manifest.json").is_file()
    assert len(found.scores("knn", 0.05)) == 1
    with pytest.raises(RunError, match=r"another recipe \(train.seed: 0 there, 1 here\); give the"):
        pipeline(short, views=1, changes=["train.seed=1"], out=tmp_path / "c", quiet=True)
    with pytest.raises(RunError, match="was started with another views"):
        pipeline(short, views=2, out=tmp_path / "c", quiet=True)


def test_a_live_teacher_is_not_recorded(teacher: dict[str, Any], tmp_path: Path) -> None:
    short = {**recipe(teacher), "probe": {"shares": [0.05], "seeds": 1, "ways": ["knn"]}}
    pipeline(short, live=True, out=tmp_path / "c", quiet=True, say=lambda line: None)
    assert not (tmp_path / "c" / "record").exists()
    assert (tmp_path / "c" / "run" / "probe.json").is_file()
