"""The stages of a search: record, successive halving, comparison, long run, export."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee import files
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.experiments.distill import lengths
from mentee.experiments.distill.halving import Rounds, Trial
from mentee.experiments.distill.label_suspects import label_suspects, suspects_line
from mentee.experiments.distill.lengths import Lengths
from mentee.experiments.distill.pace import first_pace, views_in_time
from mentee.experiments.distill.plan import Clock, Request
from mentee.experiments.distill.preparation import (
    Preparation,
    share_teacher,
    with_fast_students,
    with_latencies,
)
from mentee.experiments.distill.result import exported_run, fronts, shipped, winner_of, write_pages
from mentee.experiments.distill.strategies import FROM_SCRATCH
from mentee.experiments.distill.trial_rounds import TrialRounds
from mentee.experiments.distill.trials import (
    Configuration,
    Planner,
    center_of,
    count_compared,
    count_kept,
    search_space,
)
from mentee.experiments.executors import Executor
from mentee.experiments.jobs import save_plan
from mentee.experiments.progress import SweepProgress
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

    def run(self) -> dict[str, Any]:
        """Search, compare, write, export; the content of `distill.json`."""
        planner, progress, ready = self._prepare(), SweepProgress([], self.say), self.ready

        def begin(trials: list[Trial], epochs: int) -> list[Trial]:
            jobs = {job.name: job for trial in trials for job in trial.jobs}
            folder = trials[0].main.path.parent
            save_plan(folder, [*jobs.values()], {"live": False, "views": None, "record": None})
            if new := progress.add([*jobs.values()]):
                self.say(f"{folder.name}: {new} runs of {epochs} epochs")
            self._save()
            return trials

        failed = progress.failed
        trials = TrialRounds(ready, self.space, planner, self.lengths, failed, begin)
        rounds = Rounds(iter(trials), failed, self._save)
        train([], self.executor, progress, rounds, self.lengths.parallel)
        compared = trials.compared()
        winner = winner_of([trial.main for trial in trials.final], compared)
        score, epochs = compared["score"], self.lengths.content
        best, winner = exported_run(winner, trials.final, trials.long, score, epochs)
        files.write_text(self.out / "recipe.yaml", dump(best.recipe))
        with self.clock.part("export"):
            exported = self.saved.get("export", {})
            there = self.saved.get("winner") == winner and "file" in exported
            if not (there and (self.out / "export" / exported["file"]).is_file()):
                exported = shipped(best.path, self.out, self.overrides, self.say)
        content = {
            **self._plan(),
            "search": trials.search,
            "final": compared,
            "winner": winner,
            "pareto": fronts(trials.search, ready.students),
            "export": exported,
        }
        files.write_json(self.out / DISTILL_PLAN, content)
        write_pages(self.out, content)
        return content

    def print_plan(self) -> None:
        """Say what would be trained, and for how long; no record is made for it."""
        setup, ready = self.ready.setup, self.ready
        batches = Planner(ready.recipe, ready.spare, {}, data=self.overrides.data).batches()
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
        planner = Planner(ready.recipe, ready.spare, shared, self.out, self.overrides.data)
        with self.clock.part("labels"):
            if self.request.minutes is not None:
                ready = self.ready = with_fast_students(
                    ready, planner, self.lengths, self._final_runs, self.overrides, self.say
                )
            self.space = search_space(ready.students, ready.tried)
            if "rungs" not in self.lengths.content:
                tried = [
                    planner.trial(
                        Configuration(ready.students[0], s), 2, seed, "search", tested=False
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
        setups, tried = [build(each, self.overrides) for each in recipes], self.ready.tried
        pace = first_pace(setups, (time.monotonic() - began) / len(setups), batches)
        in_time = self.lengths.set_first(
            pace,
            len(self.space),
            count_compared(tried),
            lambda count: count_kept(self.space[:count], tried),
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
    def _final_runs(self) -> int:
        """How many last runs there are."""
        return count_compared(self.ready.tried) * self.request.seeds

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
