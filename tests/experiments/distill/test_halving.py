"""Which trials pass, which runs come next after a stop, and how long a search's runs are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mentee.experiments.distill.halving import Rounds, Trial, as_json, passing, third
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage
from mentee.recipe import read
from tests.experiments.distill.summaries import finish

RECIPE = read({"data": "embedded:digits", "student": "resnet8-cifar", "train": {"epochs": 9}})


def job(name: str, out: Path) -> Job:
    return Job("student", name, 0, RECIPE, out / name)


def search(out: Path, values: dict[str, float], failed: dict[str, str]) -> list[str]:
    """A search of two rungs, trained by hand with a stop after each run; the runs in order."""
    done = list[str]()

    def rounds() -> Iterator[list[Trial]]:
        short = {name: Trial(job(f"{name}-short", out)) for name in values}
        yield [*short.values()]
        left = [name for name in values if short[name].main.finished]
        ranked = sorted(left, key=lambda name: short[name].rank())
        yield [Trial(job(f"{name}-long", out)) for name in passing(ranked, lambda name: None)]

    while jobs := Rounds(rounds(), failed).first_jobs([]):
        finish(jobs[0], validation={"accuracy": values[jobs[0].name.partition("-")[0]]})
        done.append(jobs[0].name)
    return done


def test_decisions_follow_from_the_folders_after_a_stop_at_each_run(tmp_path: Path) -> None:
    values = {"a": 0.1, "b": 0.6, "c": 0.2, "d": 0.5, "e": 0.3, "f": 0.4, "g": 0.0}
    done = search(tmp_path, values, {})
    assert done == [*(f"{name}-short" for name in values), "b-long", "d-long", "f-long"]


def test_a_failed_trial_is_left_out_and_its_place_goes_to_another(tmp_path: Path) -> None:
    failed = {"b-short": "the loss is nan at step 3"}
    done = search(tmp_path, {"a": 0.1, "b": 0.6, "c": 0.2}, failed)
    assert done == ["a-short", "c-short", "c-long", "a-long"]


def test_the_best_of_each_group_passes(tmp_path: Path) -> None:
    ranked = ["f", "e", "none 3", "d", "none 1", "c", "kd"]
    groups = {"none 3": "none", "none 1": "none", "kd": "kd"}
    assert passing(ranked, groups.get) == ["f", "e", "none 3", "kd"]
    assert [third(n) for n in (1, 2, 6, 7, 12)] == [1, 2, 2, 3, 4]


def test_runs_of_a_round_begin_once_and_a_first_phase_is_trained_once_for_two(
    tmp_path: Path,
) -> None:
    first = job("first", tmp_path)
    trials = [Trial(job("a", tmp_path)), *(Trial(job(n, tmp_path), first) for n in "bc")]
    ends = list[int]()
    rounds = Rounds(iter([trials]), {}, lambda: ends.append(1))
    assert [each.name for each in rounds.first_jobs([])] == ["a", "first"]
    finish(first)
    after = rounds.next_jobs(WorkerMessage("first", "finished"), {})
    assert [each.name for each in after] == ["b", "c"]  # and "a" is still under way
    for trial in trials:
        finish(trial.main)
        assert rounds.next_jobs(WorkerMessage(trial.name, "finished"), {}) == []
    assert len(ends) == 4


def test_an_error_is_better_the_smaller_it_is(tmp_path: Path) -> None:
    recipe = read({**RECIPE.model_dump(), "select": {"by": "mae"}})
    trials = [Trial(replace(job(name, tmp_path), recipe=recipe)) for name in "abc"]
    for trial, value in zip(trials, (2.0, 1.0, float("nan")), strict=True):
        finish(trial.main, validation={"mae": value})
    assert [trial.name for trial in sorted(trials, key=Trial.rank)] == ["b", "a", "c"]
    assert trials[2].validation() is None


def test_the_entry_of_a_configuration_has_its_scores_by_length(tmp_path: Path) -> None:
    trials = {2: Trial(job("short", tmp_path)), 6: Trial(job("long", tmp_path))}
    finish(trials[2].main, validation={"accuracy": 0.4})
    finish(trials[6].main, validation={"accuracy": 0.3})
    entry = as_json(trials, stopped=True)
    assert entry["rungs"] == {"2": 0.4, "6": 0.3}
    assert (entry["run"], entry["epochs"], entry["validation"]) == ("long", 6, 0.3)


@pytest.mark.parametrize("state", ["started", "absent"])
def test_a_run_without_its_end_has_no_score(tmp_path: Path, state: str) -> None:
    trial = Trial(job("a", tmp_path))
    if state == "started":
        trial.main.path.mkdir()
        (trial.main.path / "metrics.jsonl").write_text('{"validation": {"accuracy": 0.9}}\n')
    assert trial.validation() is None
    assert trial.next_job({}) == trial.main
    assert trial.next_job({"a": "failed"}) is None


def test_of_equal_scores_the_one_with_the_least_loss_is_better(tmp_path: Path) -> None:
    """Short runs often stand at chance, all with the same accuracy."""
    trials = [Trial(job(name, tmp_path)) for name in "abcd"]
    for trial, accuracy, loss in zip(
        trials, (0.5, 0.5, 0.6, 0.5), (0.7, 0.6, 0.9, 0.8), strict=True
    ):
        finish(trial.main, validation={"accuracy": accuracy, "loss": loss})
    assert [trial.name for trial in sorted(trials, key=Trial.rank)] == ["c", "b", "a", "d"]
