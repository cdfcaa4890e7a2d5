"""How long runs are: a simulated search ends within the minutes, whatever a run takes."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mentee.build.overrides import PythonOverrides
from mentee.experiments.distill import pace, preparation
from mentee.experiments.distill.candidates import Budget, Candidate
from mentee.experiments.distill.halving import Trial, third
from mentee.experiments.distill.lengths import MOST_RUNGS, Lengths, rungs, shortest
from mentee.experiments.distill.pace import Pace, first_pace, measured_pace, seconds_outside
from mentee.experiments.distill.plan import Clock, Request
from mentee.experiments.distill.preparation import Preparation, with_fast_students
from mentee.experiments.distill.stages import Stages
from mentee.experiments.distill.strategies import FROM_SCRATCH, Strategy
from mentee.experiments.distill.trials import Configuration, finalists
from mentee.experiments.jobs import Job
from mentee.recipe import Network, read
from tests.experiments.distill.summaries import finish

RECIPE = read({"data": "embedded:digits", "student": "resnet8-cifar"})


class HandClock(Clock):
    """Its time is set by hand."""

    time = 0.0

    @property
    def now(self) -> float:
        """Seconds since the search began."""
        return self.time


def lengths(minutes: float, parallel: int, saved: dict[str, Any] | None = None) -> Lengths:
    clock = HandClock({"seconds": {"latency": [5.0, 10.0], "labels": [10.0]}})
    clock.time = 12.0
    request = Request(Budget(), minutes, None, 3, None)
    return Lengths(request, clock, parallel, 1, {} if saved is None else saved)


@pytest.mark.parametrize("parallel", [1, 2, 8])
@pytest.mark.parametrize("minutes", [5, 30, 240])
@pytest.mark.parametrize("error", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("true", [Pace(3.0, 0.5), Pace(1.0, 4.0)], ids=["overhead", "epochs"])
def test_a_search_ends_within_its_minutes(
    parallel: int, minutes: float, error: float, true: Pace
) -> None:
    """`error`: by how much the first estimate is wrong."""
    own, count, batches = lengths(minutes, parallel), 15, 20
    guess = Pace(true.fixed * error, true.epoch * error)
    in_time = own.set_first(guess, count, 3, lambda n: min(n, 5), 12, batches)
    count = own.content["configurations"] + 1
    for number in range(MOST_RUNGS):
        turns = math.ceil(count / parallel)
        own.clock.time += turns * (true.fixed + own.rungs[number] * true.epoch)
        count = min(count, third(count) + 5)
        own.set_next(true, count, 5, 12)
        if "search" in own.content:
            break
    assert own.content["search"] == own.rungs[-1]
    assert own.rungs == sorted(set(own.rungs))
    own.set_final(true, 4)
    final, seeds = own.content["final"], own.content["seeds"]
    own.clock.time += math.ceil(4 * seeds / parallel) * (true.fixed + final * true.epoch)
    assert final >= own.rungs[-1]
    own.set_long(true)
    long = own.content["long"]
    assert long == 0 or 2 * final <= long <= own.content["longest"]
    if long:
        own.clock.time += true.fixed + long * true.epoch
    assert 3 <= seeds <= 10
    if in_time and own.rungs[-1] < final and seeds < 10:
        assert 0.75 * 60 * minutes <= own.clock.time + 7.5 <= 1.1 * 60 * minutes
    if minutes == 30 and true.epoch == 4.0 and parallel < 8:
        assert long > 0


def test_what_there_is_no_time_for_is_left_out_from_the_end() -> None:
    own = lengths(2.0, 1)
    assert own.set_first(Pace(1.0, 1.0), 15, 3, lambda n: 2, 12, 20)
    assert 3 <= own.content["configurations"] < 15
    assert own.rungs[0] == 2
    assert not lengths(0.2, 1).set_first(Pace(1.0, 1.0), 15, 3, lambda n: 2, 12, 20)
    assert not lengths(2.0, 1).set_first(Pace(1.0, 1.0), 15, 3, lambda n: 2, 60, 20)


def test_with_few_examples_a_run_may_have_more_epochs() -> None:
    """Of 160 labels an epoch has two steps, so 300 epochs would be 600 steps."""
    few, many = lengths(240.0, 1), lengths(240.0, 1)
    for own, batches in ((few, 2), (many, 200)):
        own.set_first(Pace(0.1, 0.01), 15, 3, lambda n: 2, 12, batches)
        own.set_final(Pace(0.1, 0.01), 3)
    assert (few.content["final"], many.content["final"]) == (1500, 300)


def test_a_rung_is_longer_than_the_one_before() -> None:
    own = lengths(10.0, 1, {"rungs": [10]})
    own.set_next(Pace(0.0, 2.0), 15, 5, 12)
    assert own.rungs == [10]
    assert own.content["search"] == 10


def test_by_epochs_nothing_depends_on_the_time() -> None:
    own = lengths(0.0, 1)
    own.epochs = 40
    own.set_all(15, 100)
    assert own.content == {"configurations": 15, "rungs": [2, 7, 20], "search": 20, "final": 40}
    own.epochs = 1
    own.set_all(15, 100)
    assert own.rungs == [1]


@pytest.mark.parametrize(
    ("longest", "least", "expected"), [(18, 2, [2, 6, 18]), (50, 6, [6, 17, 50])]
)
def test_rungs_are_thirds(longest: int, least: int, expected: list[int]) -> None:
    assert rungs(longest, least) == expected
    assert shortest(400) == 2
    assert shortest(3) * 3 >= 30


def test_a_pace_is_measured_of_summaries(tmp_path: Path) -> None:
    def trial(name: str, seconds: float, epoch: float, first: Job | None = None) -> Trial:
        job = Job("student", name, 0, RECIPE, tmp_path / name)
        finish(job, seconds=seconds, seconds_per_epoch=epoch, epochs=4)
        return Trial(job, first)

    shared = trial("first", 3.0, 0.5).main
    trials = [trial("a", 10.0, 2.0), trial("b", 6.0, 1.0, shared), trial("c", 6.0, 1.0, shared)]
    outside = seconds_outside(trials, 45.0, 3)
    assert outside == pytest.approx(15.0 - 25.0 / 3)
    measured = measured_pace(trials[:1], 4, 1.0)
    assert (measured.epoch, measured.fixed) == (pytest.approx(10.0 / 4), 1.0)
    both = measured_pace(trials[1:], 6, 0.0)  # the first phase is shared, and counted for each
    assert both.epoch == pytest.approx((6.0 + 3.0) / 6)


def test_a_first_pace_counts_the_steps_of_the_labeled_examples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 500 labels an epoch has 7 steps, of the 7,246 texts with and without labels 113."""
    setups: list[Any] = [
        SimpleNamespace(
            plan=SimpleNamespace(batches=batches),
            splits=SimpleNamespace(validation=range(60), train=range(train)),
        )
        for batches, train in [(113, 6000), (7, 600)]
    ]
    monkeypatch.setattr(pace, "step_seconds", lambda setup: 0.1)
    scored = (60 / 6000 + 60 / 600) / 2 / 3  # a scored example costs a third of a trained one
    found = first_pace(setups, 2.0, 7)
    assert (found.fixed, found.epoch) == (4.0, pytest.approx(7 * 0.1 * (1 + scored)))


def test_last_runs_are_planned_for_the_best_one() -> None:
    students = [Candidate(Network(network=name), name, 1, 4) for name in ("large", "small")]
    tried = [FROM_SCRATCH, Strategy("kd", "", ""), Strategy("cktf", "", "")]
    ready: Any = SimpleNamespace(students=students, tried=tried)
    ranked = [Configuration(each, tried[-1]) for each in students]
    last = finalists(ranked, students, tried)
    search = SimpleNamespace(ready=ready, request=SimpleNamespace(seeds=3))
    planned = Stages._final_runs.fget(search)  # type: ignore[attr-defined]
    assert planned == 3 * len(last) == 9
    assert {each.candidate.name for each in last} == {"large"}


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [((0.5, 0.5), ["large", "small"]), ((100, 1), ["small"]), ((200, 100), ["small"])],
)
def test_students_that_there_is_no_time_for_are_left_out(
    seconds: tuple[float, float], kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five minutes about three are for 18 last runs: some nine of a second."""
    names = ("large", "small")
    paces = {n: Pace(0.0, each) for n, each in zip(names, seconds, strict=True)}
    monkeypatch.setattr(preparation, "build", lambda recipe, overrides: recipe)
    monkeypatch.setattr(preparation, "first_pace", lambda setups, *_: paces[setups[0]])
    students = [Candidate(Network(network=name), name, 1, 4) for name in names]
    ready = Preparation(RECIPE, None, False, [], students, [], [], {}, {})  # type: ignore[arg-type]
    planner: Any = SimpleNamespace(
        batches=lambda: 10,
        trial=lambda configuration, *_, **__: SimpleNamespace(
            main=SimpleNamespace(recipe=configuration.candidate.name)
        ),
    )
    content, lines = dict[str, Any](), list[str]()
    for _ in range(2):  # a search that goes on measures nothing
        more = planner, lengths(5, 1, content), 18, PythonOverrides(), lines.append
        found = with_fast_students(ready, *more)
        assert [each.name for each in found.students] == kept == content["students"]
        planner = None
    assert len(lines) == len(names) - len(kept)
