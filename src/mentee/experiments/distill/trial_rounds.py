"""The rounds of a search: successive halving, the comparison, a long run of its winner."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mentee.errors import MenteeError
from mentee.experiments.distill.halving import Trial, as_json, passing
from mentee.experiments.distill.lengths import MOST_RUNGS, Lengths
from mentee.experiments.distill.pace import measured_pace, seconds_outside
from mentee.experiments.distill.preparation import Preparation
from mentee.experiments.distill.result import winner_of
from mentee.experiments.distill.trials import (
    Configuration,
    Planner,
    count_compared,
    count_kept,
    finalists,
    group_of,
    joined,
)
from mentee.experiments.results import results
from mentee.experiments.rows import read_rows


@dataclass
class TrialRounds:
    """The rounds, each when all runs of the one before have ended.

    Attributes:
        ready: what fits.
        space: the configurations of the first round.
        planner: makes trials.
        lengths: of all runs; they are set on the way.
        failed: why runs have failed so far, by name.
        begin: called with the trials of a round and their epochs.
        search: the entries of `distill.json` when the search is over.
        final: the trials of the comparison.
        long: those of the long run.
    """

    ready: Preparation
    space: Sequence[Configuration]
    planner: Planner
    lengths: Lengths
    failed: Mapping[str, str]
    begin: Callable[[list[Trial], int], list[Trial]]
    search: list[dict[str, Any]] = field(default_factory=list)
    final: list[Trial] = field(default_factory=list)
    long: list[Trial] = field(default_factory=list)

    def __iter__(self) -> Iterator[list[Trial]]:
        """The rungs of the search, then the last runs, and the long one."""
        ready, rungs, active, epochs = self.ready, self.lengths.rungs, [*self.space], 0
        stopped: list[Configuration] = []  # the best of the last rung first
        first = ready.recipe.train.seed
        final_runs = count_compared(ready.tried) * self.lengths.seeds
        made: dict[Configuration, dict[int, Trial]] = {}

        def group(each: Configuration) -> Hashable | None:
            return group_of(each, ready.tried)

        def begun(configurations: Sequence[Configuration]) -> list[Trial]:
            for each in configurations:
                trial = self.planner.trial(each, epochs, first, "search", tested=False)
                made.setdefault(each, {})[epochs] = trial
            trials = [made[each][epochs] for each in configurations]
            return self.begin(trials, epochs)

        def ranked() -> list[Configuration]:
            done = [each for each in active if made[each][epochs].main.finished]
            if not done:
                reason = next(iter(self.failed.values()))
                raise MenteeError(f"every run of the search failed: {reason}")
            return sorted(done, key=lambda each: made[each][epochs].rank())

        for number in range(MOST_RUNGS):
            epochs = rungs[number]
            with self.lengths.clock.part(part := f"{epochs} epochs"):
                yield begun(active)
                if number == 0:
                    best = joined(ranked(), ready.students, ready.tried)
                    active = list(dict.fromkeys([*active, *best]))
                    yield begun(active)
            turns, active = self.lengths.turns(len(active)), ranked()
            trials = {each: made[each][epochs] for each in active}
            outside = seconds_outside([*trials.values()], self.lengths.clock.seconds(part), turns)
            passed = passing(active, group)
            if number + 1 == len(rungs) and "search" not in self.lengths.content:
                some = [trials[each] for each in passed]
                pace = measured_pace(some, epochs, outside)
                self.lengths.set_next(
                    pace, len(passed), count_kept(passed, ready.tried), final_runs
                )
            if number + 1 == len(rungs):
                break
            stopped = [*(each for each in active if each not in passed), *stopped]
            active = passed
        self.search = [as_json(t, stopped=each not in active) for each, t in made.items()]
        last = finalists([*active, *stopped], ready.students, ready.tried)
        if "final" not in self.lengths.content:
            some = [trials[each] for each in last if each in trials] or [*trials.values()]
            pace = measured_pace(some, epochs, outside)
            self.lengths.set_final(pace, len(last))
        with self.lengths.clock.part("final"):
            yield self._comparison(last)
        if self.lengths.minutes is not None:
            yield from self._long_run(last)

    def _comparison(self, last: Sequence[Configuration]) -> list[Trial]:
        """The last runs: each configuration with every seed."""
        content, first = self.lengths.content, self.ready.recipe.train.seed
        epochs, seeds = content["final"], content.get("seeds", self.lengths.seeds)
        self.final = [
            self.planner.trial(each, epochs, seed, "final", tested=True, compared=True)
            for seed in range(first, first + seeds)
            for each in last
        ]
        return self.begin(self.final, epochs)

    def _long_run(self, last: Sequence[Configuration]) -> Iterator[list[Trial]]:
        """The winner's, with as many seeds as train at once, if there is time."""
        run = winner_of([trial.main for trial in self.final], self.compared())["run"]
        number = next(n for n, trial in enumerate(self.final) if trial.name == run)
        if "long" not in self.lengths.content:
            done = [trial for trial in self.final if trial.main.finished]
            turns, seconds = self.lengths.turns(len(done)), self.lengths.clock.seconds("final")
            outside = seconds_outside(done, seconds, turns)
            own = [trial for trial in done if trial.main.pair == self.final[number].main.pair]
            self.lengths.set_long(measured_pace(own, self.lengths.content["final"], outside))
        if epochs := self.lengths.content["long"]:
            best, first = last[number % len(last)], self.ready.recipe.train.seed
            self.long = [
                self.planner.trial(best, epochs, seed, "long", tested=True)
                for seed in range(first, first + self.lengths.parallel)
            ]
            with self.lengths.clock.part("long"):
                yield self.begin(self.long, epochs)

    def compared(self) -> dict[str, Any]:
        """What the last runs are worth."""
        jobs = [trial.main for trial in self.final]
        if not any(job.finished for job in jobs):
            reason = next(iter(self.failed.values()))
            raise MenteeError(f"every run of the comparison failed: {reason}")
        seeds = list(dict.fromkeys(job.seed for job in jobs))
        return results(read_rows(jobs, self.failed, {}), seeds)
