"""The stages of a search: one record, successive halving, the comparison, the export."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mentee import files
from mentee.api import export
from mentee.build.overrides import PythonOverrides
from mentee.errors import MenteeError, RunError
from mentee.experiments.distill.candidates import Budget
from mentee.experiments.distill.halving import Halving, Trial, as_json, shares
from mentee.experiments.distill.lengths import SHORTEST, final_epochs, search_epochs
from mentee.experiments.distill.preparation import Preparation, share_teacher
from mentee.experiments.distill.result import pareto, winner_of, write_pages
from mentee.experiments.distill.trials import (
    Configuration,
    Planner,
    center_of,
    joined,
    search_space,
)
from mentee.experiments.jobs import Job, save_plan
from mentee.experiments.progress import SweepProgress, TimeEstimate
from mentee.experiments.results import results
from mentee.experiments.rows import SCRATCH, read_rows
from mentee.experiments.sweep import train
from mentee.experiments.workers import WorkerMessage, divide_cores
from mentee.recipe import Recipe, dump
from mentee.report import duration
from mentee.runs.changes import DISTILL_PLAN, differences, listing, with_defaults

BASELINES = (SCRATCH, "kd")
FINALISTS = 2


@dataclass(frozen=True)
class Request:
    """What is asked for, beside the recipe; the same again resumes.

    Attributes:
        budget: of the student.
        minutes: for everything; None: `epochs` say how long runs are.
        epochs: of the last runs; those of the search have half as many.
        seeds: of the last runs.
        given: whether the recipe's student is the only one.
    """

    budget: Budget
    minutes: float | None
    epochs: int | None
    seeds: int
    given: bool | None

    def as_json(self, recipe: Recipe) -> dict[str, Any]:
        """With the recipe, as it stands in the plan."""
        content: dict[str, Any] = json.loads(json.dumps(self, default=vars))
        return {"recipe": recipe.model_dump(mode="json"), "request": content}

    def read_saved(self, file: Path, recipe: Recipe) -> dict[str, Any]:
        """The plan of an earlier call; empty: there was none.

        Raises:
            RunError: it was for something else.
        """
        if not file.is_file():
            return {}
        saved = files.read_json(file, "it is the plan of the search; give another --out")
        was = {"recipe": with_defaults(saved.get("recipe") or {}), "request": saved.get("request")}
        if changes := differences(was, self.as_json(recipe)):
            raise RunError(
                f"{file.parent} was begun otherwise ({listing(changes)}); give the same command to "
                "resume, or another --out"
            )
        return saved


class SearchProgress(SweepProgress):
    """Prints runs as they end; how many steps are left is not known before they are judged."""

    def __init__(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        super().__init__(jobs, say)
        self._time = TimeEstimate({job.name: 0 for job in jobs})

    def receive(self, message: WorkerMessage) -> None:
        """Note a message of a worker."""
        if message.event != "step":
            super().receive(message)


@dataclass
class Stages:
    """One search, from its plan to the export.

    Attributes:
        original: the recipe as it was given.
        ready: what fits.
        request: what else was asked for.
        overrides: passed from Python.
        processes: runs at once; None: by the cores.
        out: the folder.
        say: called with each line of text.
        saved: the plan of an earlier call.
    """

    original: Recipe
    ready: Preparation
    request: Request
    overrides: PythonOverrides
    processes: int | None
    out: Path
    say: Callable[[str], None]
    saved: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = time.monotonic() - self.saved.get("spent_seconds", 0.0)
        self.lengths: dict[str, int] = dict(self.saved.get("lengths", {}))
        self.space = search_space(self.ready.students, self.ready.tried)

    def run(self) -> dict[str, Any]:
        """Search, compare, write, export; the content of `distill.json`."""
        self._set_length()
        self._save()
        shared = share_teacher(self.ready, self.out / "record", self.overrides, self.say)
        planner = Planner(self.ready.recipe, self.ready.spare, shared, self.overrides.data)
        searched, rows = self._search(planner)
        last = finalists([each for each, _ in searched], self.ready)
        if "final" not in self.lengths:
            self._set_final_length([trial for _, trial in searched], len(last))
            self._save()
        first = self.ready.recipe.train.seed
        trials = [
            named_baseline(planner.trial(each, self.lengths["final"], seed, self.out / "final"))
            for seed in range(first, first + self.request.seeds)
            for each in last
        ]
        failed = self._train(Halving(trials, [1.0], least=len(trials), say=self.say), "final")
        jobs = [trial.main for trial in trials]
        if not any(job.finished for job in jobs):
            reason = next(iter(failed.values()))
            raise MenteeError(f"every run of the comparison failed: {reason}")
        compared = results(read_rows(jobs, failed, {}), range(first, first + self.request.seeds))
        content = {**self._plan(), "search": rows, "final": compared}
        content["winner"] = winner = winner_of(jobs, compared)
        content["pareto"] = pareto(rows, self.ready.students)
        best = next(job for job in jobs if job.name == winner["run"])
        files.write_text(self.out / "recipe.yaml", dump(best.recipe))
        content["export"] = self._export(best.path)
        files.write_json(self.out / DISTILL_PLAN, content)
        write_pages(self.out, content, jobs)
        return content

    def print_plan(self) -> None:
        """Say what would be trained, and for how long."""
        self._set_length()
        for each in self.space:
            self.say(f"{each.candidate.name}  {each.label}")
        minutes = self.request.minutes
        time_of = "" if minutes is None else f", about {duration(60 * minutes)} in all"
        self.say(
            f"{len(self.space)} configurations, the best for {self.lengths['search']} epochs; then "
            f"{FINALISTS} of them, scratch and kd with {self.request.seeds} seeds{time_of}"
        )

    def _set_length(self) -> None:
        """The epochs of the search."""
        if self.lengths:
            return
        if self.request.epochs is not None:
            half = max(SHORTEST, self.request.epochs // 2)
            self.lengths = {"search": half, "final": self.request.epochs}
        else:
            kept = FINALISTS + len(self._kept())
            count, parallel = len(self.space), self._parallel(len(self.space))
            minutes = self.request.minutes or 0
            epochs = search_epochs(self.ready.setup, minutes, count, kept, parallel)
            self.lengths = {"search": epochs}

    def _set_final_length(self, searched: Sequence[Trial], configurations: int) -> None:
        """The epochs of the last runs."""
        left = 60 * (self.request.minutes or 0) - (time.monotonic() - self.began)
        runs = self.request.seeds * configurations
        epochs = final_epochs(searched, left, runs, self._parallel(runs))
        self.lengths["final"] = epochs
        self.say(f"now {runs} runs of {epochs} epochs, about {duration(max(left, 0))}")

    def _parallel(self, jobs: int) -> int:
        return divide_cores(jobs, self.processes)[0]

    def _kept(self) -> list[Configuration]:
        """What comes to the end of the search in any case: baselines, and each student once."""
        center = center_of(self.ready.tried)
        return [
            each
            for each in self.space
            if each.rate == 1 and (each.strategy == center or each.strategy.name in BASELINES)
        ]

    def _search(
        self, planner: Planner
    ) -> tuple[list[tuple[Configuration, Trial]], list[dict[str, Any]]]:
        """Successive halving: what came to the end, the best first; and an entry for each trial."""
        epochs, seed = self.lengths["search"], self.ready.recipe.train.seed
        ends = shares(3 if epochs >= 9 else 2)

        def trials(space: Sequence[Configuration]) -> dict[str, tuple[Configuration, Trial]]:
            folder = self.out / "search"
            made = [(each, planner.trial(each, epochs, seed, folder, test=False)) for each in space]
            return {trial.name: (each, trial) for each, trial in made}

        known, kept = trials(self.space), [*trials(self._kept())]
        first = Halving([t for _, t in known.values()], ends[:1], least=len(known), say=self.say)
        failed = self._train(first, "search")
        best = [known[trial.name][0] for trial in first.survivors()]
        known |= trials([joined(best, self.ready.students, self.ready.tried)])
        every = [trial for _, trial in known.values()]
        halving = Halving(every, ends, least=FINALISTS, kept=kept, failed=failed, say=self.say)
        self._train(halving, "search")
        if not halving.survivors():
            raise MenteeError(
                f"every run of the search failed: {next(iter(halving.failed.values()))}"
            )
        rows = [as_json(trial, halving.dropped, ends) for trial in every]
        return [known[trial.name] for trial in halving.survivors()], rows

    def _train(self, halving: Halving, folder: str) -> dict[str, str]:
        """Train trials; why some failed, by name of the run."""
        jobs = list({job.name: job for trial in halving.trials for job in trial.jobs}.values())
        save_plan(self.out / folder, jobs, {"live": False, "views": None, "record": None})
        progress = SearchProgress(jobs, self.say)
        if not halving.survivors():
            train(jobs, self.overrides, self.processes, progress, halving)
        self._save()
        return halving.failed

    def _export(self, run: Path) -> dict[str, Any]:
        """The winner as an ONNX file; or why there is none."""
        passed = {"data": self.overrides.data, "student": self.overrides.student}
        try:
            exported = export(run, out=self.out / "export", **passed)
        except MenteeError as error:
            self.say(f"not exported: {error}")
            return {"error": str(error)}
        self.say(f"{exported.path}  compared: {exported.parity}")
        return {"file": exported.path.name, "compared": str(exported.parity)}

    def _plan(self) -> dict[str, Any]:
        """What is known when runs begin."""
        ready = self.ready
        return {
            **self.request.as_json(self.original),
            "lengths": self.lengths,
            "spent_seconds": round(time.monotonic() - self.began, 1),
            "look": ready.warnings,
            "students": [each.as_json() for each in ready.students],
            "strategies": [{**vars(each), "name": each.name} for each in ready.tried],
            "left_out": {**ready.reasons, "students": ready.left_out},
        }

    def _save(self) -> None:
        files.write_json(self.out / DISTILL_PLAN, self._plan())


def finalists(ranked: Sequence[Configuration], ready: Preparation) -> list[Configuration]:
    """The best two, beside scratch and `kd` of their students at their own best rates."""
    able = [c for c in ranked if c.strategy.name not in BASELINES]
    chosen = able[:FINALISTS]
    baselines = [s for s in ready.tried if s.name in BASELINES]
    rates = {s.name: next((c.rate for c in ranked if c.strategy is s), 1.0) for s in baselines}
    students = dict.fromkeys(c.candidate for c in chosen) or {ready.students[0]: None}
    beside = [Configuration(c, s, rates[s.name]) for c in students for s in baselines]
    return list(dict.fromkeys([*beside, *chosen]))


def named_baseline(trial: Trial) -> Trial:
    """The same; a baseline at another rate has its plain name, which others are compared with."""
    name = trial.main.method.partition(",")[0]
    return replace(trial, main=replace(trial.main, method=name)) if name in BASELINES else trial
