"""What a person is told: made-up runs, the lines as they are printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mentee.experiments import progress
from mentee.experiments.jobs import plan_jobs
from mentee.experiments.progress import SweepProgress, TimeEstimate, main_score
from mentee.experiments.shared_record import PairCheck
from mentee.experiments.workers import WorkerMessage
from mentee.recipe import read
from mentee.report import duration

RECIPE = read({"data": "embedded:digits", "student": "resnet8-cifar"})


def test_lines_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = plan_jobs(RECIPE, [], ["none", "kd", "crd"], 1, tmp_path)
    lines: list[str] = []
    jobs[1].path.mkdir()
    jobs[1].folder.recipe.touch()
    progress_lines = SweepProgress(jobs, lines.append)
    found = {job.pair: PairCheck(steps=1000) for job in jobs}
    found[jobs[2].pair] = PairCheck(problem="no teacher")
    assert progress_lines.start(jobs, found) == jobs[:2]
    assert lines == [
        "3 runs, 1 started before, 2,000 steps to train",
        "resnet8-cifar-crd-seed0  failed: no teacher",
    ]
    none, kd = (job.name for job in jobs[:2])
    progress_lines.receive(WorkerMessage(none, "step", 1))
    assert len(lines) == 2, "one step says nothing of the pace"
    monkeypatch.setattr(progress, "WARM_UP", 0.0)
    progress_lines.receive(WorkerMessage(none, "step", 500))
    assert lines[2].startswith("0 of 3 finished, 25 % of the steps, about ")
    progress_lines.receive(WorkerMessage(none, "step", 501))
    assert len(lines) == 3, "not a line each second"
    monkeypatch.setattr(progress, "LINE_INTERVAL", 0.0)
    progress_lines.receive(WorkerMessage(none, "step", 600))
    assert lines[3].startswith("0 of 3 finished, 30 % of the steps, about ")
    jobs[0].path.mkdir()
    summary = {
        "test": {"accuracy": 0.5},
        "method": "none",
        "student": {"network": "resnet8-cifar"},
        "selected": {},
        "parameters": {"student": 1000, "heads": 0},
        "examples": {},
        "epochs": 1,
        "steps": 1000,
        "seconds": 75.0,
        "seconds_per_epoch": 75.0,
    }
    (jobs[0].path / "summary.json").write_text(json.dumps(summary))
    progress_lines.receive(WorkerMessage(none, "finished"))
    assert lines[4] == "resnet8-cifar-none-seed0  test accuracy 0.5000  1 min 15 s  (1 of 3)"
    progress_lines.receive(WorkerMessage(kd, "failed", text="the loss is nan"))
    assert progress_lines.failed == {"resnet8-cifar-crd-seed0": "no teacher", kd: "the loss is nan"}


def test_the_score_that_counts() -> None:
    assert main_score({"test": {"map": 0.25, "f1": 0.5}, "validation": {"map": 1.0}}) == (
        "map",
        0.25,
    )
    assert main_score({"test": None, "validation": {"accuracy": 0.75}}) == ("accuracy", 0.75)
    assert main_score({"test": {}, "validation": None}) is None


def test_the_time_left_follows_the_pace_and_not_a_slow_start() -> None:
    """One of four runs begins, the others join it after 20 seconds."""
    now = [0.0]
    estimate = TimeEstimate({name: 1000 for name in "abcd"}, clock=lambda: now[0])
    for second in range(101):
        now[0] = float(second)
        estimate.update("a", 1 + 4 * second)
        if second < 10:
            assert estimate.remaining() == ""
        if second >= 20:
            for name in "bcd":
                estimate.update(name, 1 + 4 * (second - 20))
    rest = 4000 - (401 + 3 * 321)
    assert estimate.remaining().endswith(f"about {duration(rest / 16)} left")
