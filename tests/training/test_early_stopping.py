"""A run that stops early: when, and at which rates until then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mentee import resume, train
from mentee.distillation.loop import Plan
from mentee.distillation.lr_schedule import one_cycle
from mentee.recipe import Select
from mentee.runs.state import RunState
from mentee.training.early_stopping import EarlyStopping
from tests.conftest import cut_off, digits
from tests.training.test_resume import assert_same

STILL = {"epochs": 9, "lr": 1e-9, "schedule": "constant"}


def stopping(schedule: Any = None, **select: Any) -> EarlyStopping:
    """Of 40 epochs of 10 steps."""
    falls = schedule or (lambda done, total: 1 - done / total)
    return EarlyStopping(Select(**select), Plan(40, 10, 1, falls))


def test_without_patience_nothing_stops() -> None:
    free, progress = stopping(), RunState(stale=99)
    assert free.judge(progress, 200) == ""
    assert not free.over(progress, 200)
    assert free.rate(progress, 200, 400) == 0.5
    assert free.steps(progress) == 400


def test_without_a_cooldown_it_is_over_at_once() -> None:
    patient = stopping(patience=3)
    assert patient.judge(RunState(stale=2), 200) == ""
    assert not patient.over(RunState(stale=2), 200)
    assert patient.judge(RunState(stale=3), 200) == "no better for 3 evaluations: stopped early"
    assert patient.over(RunState(stale=3), 200)


def test_the_rate_falls_in_a_line_to_zero_over_a_part_of_the_steps_done() -> None:
    patient, progress = stopping(patience=3, cooldown=0.2), RunState(stale=3)
    assert "falls to zero until epoch 24" in patient.judge(progress, 200)
    assert progress.cooldown == (200, 240)
    assert patient.steps(progress) == 240
    found = [patient.rate(progress, done, 400) for done in (200, 210, 239, 240)]
    assert found == pytest.approx([0.5, 0.375, 0.0125, 0.0])
    assert [patient.over(progress, done) for done in (200, 239, 240)] == [False, False, True]
    progress.stale = 0  # a gain on the way changes nothing
    assert patient.judge(progress, 210) == ""
    assert progress.cooldown == (200, 240)


@pytest.mark.parametrize(("done", "end"), [(10, 20), (100, 120), (380, 400), (400, 400)])
def test_it_takes_whole_epochs_one_at_least_and_ends_with_the_schedule(done: int, end: int) -> None:
    progress = RunState(stale=1)
    stopping(patience=1, cooldown=0.2).judge(progress, done)
    assert progress.cooldown == (done, end)


def test_nothing_counts_while_the_rate_rises() -> None:
    def rate(done: int, total: int) -> float:
        return one_cycle(done / total)

    for cooldown in (0.0, 0.2):
        patient = stopping(rate, patience=3, cooldown=cooldown)
        progress = RunState(stale=3)
        assert patient.judge(progress, 90) == ""
        assert progress.stale == 0
        progress.stale = 3
        assert patient.judge(progress, 110) != ""


def test_a_run_cools_down_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = digits(train=STILL, select={"patience": 2, "cooldown": 0.9, "every": 2})
    run = train(recipe, out=tmp_path / "run")
    out = capsys.readouterr().out
    lines = [json.loads(text) for text in (run.path / "metrics.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in lines if "lr" in line]
    scored = [line["epoch"] for line in lines if "validation" in line]
    stall = next(n for n, rate in enumerate(rates) if rate < rates[0])
    epochs = stall + max(1, round(0.9 * stall))
    assert f"the rate falls to zero until epoch {min(epochs, 9)}, then it stops" in out
    assert run.summary["epochs"] == len(rates) == min(epochs, 9)
    assert rates[stall:] == sorted(rates[stall:], reverse=True)
    assert rates[-1] < 0.1 * rates[0]
    assert scored[-1] == len(rates)  # the last weights are always scored


@pytest.mark.parametrize("after", [22, 27])
def test_cut_off_in_the_cooldown_it_ends_as_it_would_have(after: int, tmp_path: Path) -> None:
    recipe = digits(
        train={**STILL, "lr": 1e-4},
        select={"patience": 1, "cooldown": 0.9, "keep": "last"},
        save={"steps": 5, "minutes": None},
    )
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    assert whole.summary["epochs"] < 9
    assert whole.summary["steps"] > after
    cut_off(recipe, tmp_path / "run", after)
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)
