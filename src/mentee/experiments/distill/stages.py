"""The stages of a search: record, successive halving, comparison, long run, export."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee import files
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.errors import MenteeError
from mentee.experiments.distill import lengths
from mentee.experiments.distill.halving import Rounds, Trial, as_json, passing
from mentee.experiments.distill.label_suspects import label_suspects, suspects_line
from mentee.experiments.distill.lengths import Lengths
from mentee.experiments.distill.pace import (
    first_pace,
    measured_pace,
    seconds_outside,
    views_in_time,
)
from mentee.experiments.distill.plan import Clock, Request
from mentee.experiments.distill.preparation import (
    Preparation,
    share_teacher,
    with_fast_students,
    with_latencies,
)
from mentee.experiments.distill.result import exported_run, fronts, shipped, winner_of, write_pages
from mentee.experiments.distill.strategies import FROM_SCRATCH
from mentee.experiments.distill.trials import (
    Configuration,
    Planner,
    center_of,
    finalists,
    joined,
    search_space,
)
from mentee.experiments.executors import Executor
from mentee.experiments.jobs import save_plan
from mentee.experiments.progress import SweepProgress
from mentee.experiments.results import results
from mentee.experiments.rows import read_rows
from mentee.experiments.sweep import train
from mentee.recipe import Recipe, dump
from mentee.report import duration
from mentee.runs.changes import DISTILL_PLAN


@dataclass
class Stages:
    """One search, from its plan to the export.

    Attributes:
        original: the recipe as it was given.
        ready: what fits.
        request: what else was asked for.
        overrides: passed from Python.
        executor: where runs train.
        out: the folder.
        say: called with each line of text.
        saved: the plan of an earlier call.
        clock: of the search.
    """

    original: Recipe
    ready: Preparation
    request: Request
    overrides: PythonOverrides
    executor: Executor
    out: Path
    say: Callable[[str], None]
    saved: Mapping[str, Any]
    clock: Clock

    def __post_init__(self) -> None:
        self.center = center_of(self.ready.tried)
        self.space = search_space(self.ready.students, self.ready.tried)
        parallel = self.executor.parallel(len(self.space))
        known, students = self.saved.get("lengths", {}), len(self.ready.students)
        self.lengths = Lengths(self.request, self.clock, parallel, students, known)
        self.suspects: Mapping[str, Any] | None = self.saved.get("suspects")
        self.search: list[dict[str, Any]] = []
        self.final: list[Trial] = []
        self.long: list[Trial] = []

    def run(self) -> dict[str, Any]:
        """Search, compare, write, export; the content of `distill.json`."""
        planner, progress = self._prepare(), SweepProgress([], self.say)
        rounds = Rounds(self._rounds(planner, progress), progress.failed, self._save)
        train([], self.executor, progress, rounds, self.lengths.parallel)
        compared = self._compared(progress)
        winner = winner_of([trial.main for trial in self.final], compared)
        best, winner = exported_run(
            winner, self.final, self.long, compared["score"], self.lengths.content
        )
        files.write_text(self.out / "recipe.yaml", dump(best.recipe))
        with self.clock.part("export"):
            exported = self.saved.get("export", {})
            there = self.saved.get("winner") == winner and "file" in exported
            if not (there and (self.out / "export" / exported["file"]).is_file()):
                exported = shipped(best.path, self.out, self.overrides, self.say)
        content = {
            **self._plan(),
            "search": self.search,
            "final": compared,
            "winner": winner,
            "pareto": fronts(self.search, self.ready.students),
            "export": exported,
        }
        files.write_json(self.out / DISTILL_PLAN, content)
        write_pages(self.out, content)
        return content

    def print_plan(self) -> None:
        """Say what would be trained, and for how long; no record is made for it."""
        setup, ready = self.ready.setup, self.ready
        batches = Planner(ready.recipe, ready.spare, {}, self.overrides.data).batches()
        if self.request.minutes is None:
            self.lengths.set_all(len(self.space), batches)
        else:
            with self.clock.part("latency"):
                pass
            with self.clock.part("labels"):
                self._set_first([self._reading(), setup.recipe], batches)
        for each in self.space:
            self.say(f"{each.candidate.name}  {each.label}")
        minutes = self.request.minutes
        time_of = "" if minutes is None else f", about {duration(60 * minutes)} in all"
        self.say(
            f"{len(self.space)} configurations, first {self.lengths.rungs[0]} epochs each, the "
            "better ones longer; then the best one, scratch and kd with "
            f"{self.request.seeds} seeds{time_of}"
        )

    def _prepare(self) -> Planner:
        """Record the teacher, measure the students, look at the labels, set the first lengths."""
        self._save()
        with self.clock.part("record"):
            views = self._views()
            folder = self.out / "record"
            shared = share_teacher(self.ready, folder, self.overrides, self.say, views)
        with self.clock.part("latency"):
            known = self.saved.get("students", ())
            self.ready = with_latencies(self.ready, known, self.overrides)
        ready, seed = self.ready, self.ready.recipe.train.seed
        planner = Planner(ready.recipe, ready.spare, shared, self.overrides.data)
        with self.clock.part("labels"):
            if self.request.minutes is not None:
                ready = self.ready = with_fast_students(
                    ready, planner, self.lengths, self._final_runs, self.overrides, self.say
                )
            self.space = search_space(ready.students, ready.tried)
            if "rungs" not in self.lengths.content:
                tried = [
                    planner.trial(
                        Configuration(ready.students[0], s), 2, seed, self.out, tested=False
                    )
                    for s in (self.center, FROM_SCRATCH)
                ]
                recipes = [trial.jobs[0].recipe for trial in tried]
                self.suspects = label_suspects(build(recipes[0], self.overrides))
                if self.request.minutes is None:
                    self.lengths.set_all(len(self.space), planner.batches())
                else:
                    self._set_first(recipes, planner.batches())
        self.space = self.space[: self.lengths.content["configurations"]]
        if line := suspects_line(self.suspects):
            self.say(line)
        self._save()
        return planner

    def _reading(self) -> Recipe:
        """The recipe of a run that reads the teacher itself."""
        method = self.center.first or self.center.method
        return self.ready.run(self.ready.students[0], method)

    def _views(self) -> int | None:
        """How many views of the teacher are recorded; None: as many as usual."""
        content, recipe = self.lengths.content, self.ready.recipe
        live = recipe.online_teacher is not None and recipe.data.views != "none"
        if self.request.minutes is not None and live and "views" not in content:
            seconds = lengths.RECORD_SHARE * 60 * self.request.minutes
            content["views"] = views_in_time(build(self._reading(), self.overrides), seconds)
            self._save()
        views: int | None = content.get("views")
        return views

    def _set_first(self, recipes: Sequence[Recipe], batches: int) -> None:
        """Measure some steps of each recipe; set the first rung's length in epochs of `batches`."""
        began = time.monotonic()
        setups = [build(each, self.overrides) for each in recipes]
        pace = first_pace(setups, (time.monotonic() - began) / len(setups), batches)
        in_time = self.lengths.set_first(
            pace,
            len(self.space),
            1 + self._baselines,
            lambda count: self._kept(self.space[:count]),
            self._final_runs,
            batches,
        )
        count = self.lengths.content["configurations"]
        if count < len(self.space):
            self.say(f"there is time for {count} of {len(self.space)} configurations")
            self.space = self.space[:count]
        if not in_time:
            epochs = self.lengths.rungs[0]
            self.say(f"it takes longer than these minutes: runs have {epochs} epochs at least")

    @property
    def _baselines(self) -> int:
        return sum(each.is_baseline for each in self.ready.tried)

    @property
    def _final_runs(self) -> int:
        """How many last runs there are."""
        return (1 + self._baselines) * self.request.seeds

    def _group(self, each: Configuration) -> Hashable | None:
        """The best of each group comes to the end: of a baseline, of a student with the center."""
        kept = each.strategy.is_baseline or each.strategy == self.center
        return (each.candidate.name, each.strategy.name) if kept else None

    def _kept(self, configurations: Sequence[Configuration]) -> int:
        return len({self._group(each) for each in configurations} - {None})

    def _rounds(self, planner: Planner, progress: SweepProgress) -> Iterator[list[Trial]]:
        """The rungs of the search, each when the one before is over, and then the last runs."""
        ready, rungs, active, epochs = self.ready, self.lengths.rungs, self.space, 0
        stopped: list[Configuration] = []  # the best of the last rung first
        first = ready.recipe.train.seed
        made: dict[Configuration, dict[int, Trial]] = {}

        def begun(configurations: Sequence[Configuration]) -> list[Trial]:
            for each in configurations:
                trial = planner.trial(each, epochs, first, self.out / "search", tested=False)
                made.setdefault(each, {})[epochs] = trial
            trials = [made[each][epochs] for each in configurations]
            return self._begin(trials, self.out / "search", epochs, progress)

        def ranked() -> list[Configuration]:
            done = [each for each in active if made[each][epochs].main.finished]
            if not done:
                reason = next(iter(progress.failed.values()))
                raise MenteeError(f"every run of the search failed: {reason}")
            return sorted(done, key=lambda each: made[each][epochs].rank())

        for number in range(lengths.MOST_RUNGS):
            epochs = rungs[number]
            with self.clock.part(part := f"{epochs} epochs"):
                yield begun(active)
                if number == 0:
                    best = joined(ranked(), ready.students, ready.tried)
                    active = list(dict.fromkeys([*active, best]))
                    yield begun(active)
            turns, active = self.lengths.turns(len(active)), ranked()
            trials = {each: made[each][epochs] for each in active}
            outside = seconds_outside([*trials.values()], self.clock.seconds(part), turns)
            passed = passing(active, self._group)
            if number + 1 == len(rungs) and "search" not in self.lengths.content:
                some = [trials[each] for each in passed]
                pace = measured_pace(some, epochs, outside)
                self.lengths.set_next(pace, len(passed), self._kept(passed), self._final_runs)
            if number + 1 == len(rungs):
                break
            stopped = [*(each for each in active if each not in passed), *stopped]
            active = passed
        self.search = [as_json(t, stopped=each not in active) for each, t in made.items()]
        last = finalists([*active, *stopped], ready.students, ready.tried)
        if "final" not in self.lengths.content:
            some = [trials[each] for each in last if each in trials] or [*trials.values()]
            pace = measured_pace(some, epochs, outside)
            self.lengths.set_final(pace, len(last) * self.request.seeds)
        epochs = self.lengths.content["final"]
        seeds = range(first, first + self.request.seeds)
        self.final = [
            planner.trial(each, epochs, seed, self.out / "final", tested=True, compared=True)
            for seed in seeds
            for each in last
        ]
        with self.clock.part("final"):
            yield self._begin(self.final, self.out / "final", epochs, progress)
        if self.request.minutes is None:
            return
        run = winner_of([trial.main for trial in self.final], self._compared(progress))["run"]
        number = next(n for n, trial in enumerate(self.final) if trial.name == run) % len(last)
        if "long" not in self.lengths.content:
            done = [trial for trial in self.final if trial.main.finished]
            turns, seconds = self.lengths.turns(len(done)), self.clock.seconds("final")
            own = [trial for trial in done if trial.main.pair == self.final[number].main.pair]
            self.lengths.set_long(measured_pace(own, epochs, seconds_outside(done, seconds, turns)))
        if epochs := self.lengths.content["long"]:
            self.long = [
                planner.trial(last[number], epochs, seed, self.out / "long", tested=True)
                for seed in range(first, first + self.lengths.parallel)
            ]
            with self.clock.part("long"):
                yield self._begin(self.long, self.out / "long", epochs, progress)

    def _compared(self, progress: SweepProgress) -> dict[str, Any]:
        """What the last runs are worth."""
        jobs = [trial.main for trial in self.final]
        if not any(job.finished for job in jobs):
            reason = next(iter(progress.failed.values()))
            raise MenteeError(f"every run of the comparison failed: {reason}")
        seeds = list(dict.fromkeys(job.seed for job in jobs))
        return results(read_rows(jobs, progress.failed, {}), seeds)

    def _begin(
        self, trials: list[Trial], folder: Path, epochs: int, progress: SweepProgress
    ) -> list[Trial]:
        """The same, announced and written into the plans."""
        jobs = {job.name: job for trial in trials for job in trial.jobs}
        save_plan(folder, [*jobs.values()], {"live": False, "views": None, "record": None})
        if new := progress.add([*jobs.values()]):
            self.say(f"{folder.name}: {new} runs of {epochs} epochs")
        self._save()
        return trials

    def _plan(self) -> dict[str, Any]:
        """What is known when runs begin."""
        ready = self.ready
        line = suspects_line(self.suspects)
        return {
            **self.request.as_json(self.original),
            "lengths": self.lengths.content,
            "spent_seconds": self.clock.now,
            "seconds": self.clock.parts,
            "look": [*ready.warnings, *([line] if line else [])],
            "suspects": self.suspects,
            "students": [each.as_json() for each in ready.students],
            "strategies": [{**vars(each), "name": each.name} for each in ready.tried],
            "left_out": {**ready.reasons, "students": ready.left_out},
        }

    def _save(self) -> None:
        files.write_json(self.out / DISTILL_PLAN, {**self.saved, **self._plan()})
