"""Which trials go on, which come next after a stop, and what a search of so many costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mentee.experiments.distill.halving import Halving, Trial, cost, shares
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage
from mentee.recipe import read

RECIPE = read({"data": "embedded:digits", "student": "resnet8-cifar", "train": {"epochs": 9}})


def job(name: str, out: Path) -> Job:
    return Job("student", name, 0, RECIPE, out / name)


def reach(job: Job, value: float) -> None:
    """What a run leaves that came to the end of its part."""
    job.path.mkdir(exist_ok=True)
    (job.path / "recipe.yaml").touch()
    epoch = job.until or 9
    line = {"step": epoch, "epoch": epoch, "validation": {"accuracy": value}}
    with (job.path / "metrics.jsonl").open("a") as out:
        out.write(json.dumps(line) + "\n")
    if job.until is None:
        (job.path / "summary.json").write_text("{}")


def drive(
    trials: list[Trial], values: dict[str, float], *, forget: bool, **options: object
) -> list[str]:
    """Train all by hand; the parts in their order, as `name:epoch`.

    `forget`: everything that is not in the folders is lost after each part, as by a kill.
    """
    lines: list[str] = []

    def new() -> Halving:
        return Halving(trials, shares(3), least=2, say=lines.append, **options)  # type: ignore[arg-type]

    halving, done = new(), list[str]()
    waiting = list(halving.first_jobs([]))
    while waiting:
        part = waiting.pop(0)
        reach(part, values.get(part.name, 0.0))
        done.append(f"{part.name}:{part.until or 9}")
        event = "finished" if part.until is None else "paused"
        if forget:
            halving = new()
            waiting = list(halving.first_jobs([]))
        else:
            waiting += halving.next_jobs(WorkerMessage(part.name, event), {})  # type: ignore[arg-type]
    assert halving.survivors()
    return done


@pytest.mark.parametrize("forget", [False, True], ids=["at once", "stopped after each part"])
def test_a_third_of_the_trials_passes_each_rung(tmp_path: Path, forget: bool) -> None:
    values = {"a": 0.1, "b": 0.6, "c": 0.2, "d": 0.5, "e": 0.3, "f": 0.4, "g": 0.0}
    trials = [Trial(job(name, tmp_path)) for name in values]
    done = drive(trials, values, forget=forget)
    assert sorted(done[:7]) == [f"{name}:1" for name in "abcdefg"]
    assert sorted(done[7:10]) == ["b:3", "d:3", "f:3"]
    assert sorted(done[10:]) == ["b:9", "d:9"]


def test_what_is_kept_comes_to_the_end_whatever_its_score(tmp_path: Path) -> None:
    values = {"none": 0.0, "a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5, "f": 0.6}
    trials = [Trial(job(name, tmp_path)) for name in values]
    done = drive(trials, values, forget=False, kept=["none"])
    assert "none:9" in done
    assert "f:9" in done
    assert "a:3" not in done


def test_a_first_phase_comes_before_its_run_and_is_trained_once_for_two(tmp_path: Path) -> None:
    first = job("first", tmp_path)
    trials = [
        Trial(job("a", tmp_path)),
        Trial(job("b", tmp_path), first),
        Trial(job("c", tmp_path), first),
    ]
    done = drive(trials, {"a": 0.3, "b": 0.2, "c": 0.1}, forget=False)
    assert done.count("first:9") == 1
    assert done.index("first:9") < min(done.index("b:1"), done.index("c:1"))


def test_a_failed_trial_is_left_out_and_its_place_goes_to_another(tmp_path: Path) -> None:
    trials = [Trial(job(name, tmp_path)) for name in "abc"]
    failed = {"a": "the loss is nan at step 3"}
    done = drive(trials, {"b": 0.1, "c": 0.2}, forget=False, failed=failed)
    assert not any(each.startswith("a:") for each in done)
    assert {"b:9", "c:9"} <= set(done)


def test_an_error_is_better_the_smaller_it_is(tmp_path: Path) -> None:
    recipe = read({**RECIPE.model_dump(), "select": {"by": "mae"}})
    trials = [Trial(replace(job(name, tmp_path), recipe=recipe)) for name in "ab"]
    for trial, value in zip(trials, (2.0, 1.0), strict=True):
        reach(trial.main, 0.0)
        line = {"step": 9, "epoch": 9, "validation": {"mae": value}}
        (trial.main.path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    ranked = Halving(trials, [1.0], least=2, say=print).survivors()
    assert [trial.name for trial in ranked] == ["b", "a"]


def test_the_best_score_up_to_a_rung_counts_and_not_what_comes_later(tmp_path: Path) -> None:
    trial = Trial(job("a", tmp_path))
    trial.main.path.mkdir()
    lines = [
        {"step": e, "epoch": e, "validation": {"accuracy": v}}
        for e, v in ((1, 0.4), (2, 0.3), (3, 0.2), (4, 0.9))
    ]
    (trial.main.path / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    assert trial.score(1 / 3) == 0.4
    assert trial.score(1 / 9) == 0.4
    assert trial.score(1.0) is None


def test_cost_counts_each_part_once() -> None:
    assert cost(9, 3, 1) == pytest.approx(9 / 9 + 3 * 2 / 9 + 1 * 6 / 9)
    assert cost(2, 2, 2) == pytest.approx(2.0)
