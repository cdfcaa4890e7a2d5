"""The trials of a search and of its end: student × strategy × learning rate, as ordinary runs."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mentee.build.datasets import open_splits
from mentee.experiments.distill.candidates import Candidate
from mentee.experiments.distill.halving import Trial
from mentee.experiments.distill.strategies import (
    FROM_SCRATCH,
    Strategy,
    supervised,
    without_labels,
)
from mentee.experiments.jobs import Job
from mentee.recipe import Recipe

FIRST_SHARE = 1 / 3
"""Of the steps, for a first phase without labels."""
LABEL_FREE_SHARE = 0.8
"""The same where labels train the classifier alone."""
CLASSIFIER_STEPS = 300
"""Its steps at least: it begins anew, and a step of it is cheap."""
JOINED = 2
"""So many strategies of the first rung, the best ones, are tried with the best student and rate."""
RATES = (3.0, 1 / 3)
"""By which the learning rate is multiplied, beside 1."""


@dataclass(frozen=True)
class Configuration:
    """What is trained, apart from length and seed.

    Attributes:
        candidate: the student.
        strategy: how it is trained.
        rate: the learning rate, as a multiple of the recipe's.
    """

    candidate: Candidate
    strategy: Strategy
    rate: float = 1.0

    @property
    def label(self) -> str:
        """Its strategy and rate, as in tables."""
        return self.strategy.name + ("" if self.rate == 1 else f", lr × {self.rate:.2g}")


@dataclass
class Planner:
    """Turns configurations into trials of equal steps.

    Attributes:
        recipe: of all runs, resolved, with its teacher.
        spare: whether there are unlabeled examples.
        shared: by student and method, what a run of them reads: its `teacher`, and keys of `data`.
        out: the folder of the search.
        data: instead of the recipe's source.
    """

    recipe: Recipe
    spare: bool
    shared: Mapping[tuple[str, str], Recipe]
    out: Path = Path()
    data: Any = None
    _batches: dict[str, int] = field(default_factory=dict)

    def trial(
        self,
        configuration: Configuration,
        epochs: int,
        seed: int,
        part: str,
        *,
        tested: bool,
        compared: bool = False,
    ) -> Trial:
        """A trial as long as so many epochs of the labeled examples.

        Args:
            configuration: what is trained.
            epochs: its length.
            seed: of it.
            part: the folder of its runs, `search`, `final` or `long`.
            tested: whether its main run is scored on the test part at its end.
            compared: whether it is of the comparison, where all are as long, so no name tells it.
        """
        candidate, strategy, out = configuration.candidate, configuration.strategy, self.out / part
        length = "" if compared else f"-{epochs}-epochs"
        base = self.recipe.model_copy(
            update={"train": self._train(self.recipe, configuration.rate, seed)}
        )
        main = supervised(base, strategy, candidate.network)
        steps = epochs * self.batches()
        first_job = None
        if strategy.first:
            first = without_labels(base, strategy, candidate.network, spare=self.spare)
            first = self._as_shared(first, candidate.name, strategy.first)
            share = LABEL_FREE_SHARE if strategy.label_free else FIRST_SHARE
            first = _of_length(first, share * steps / self._steps(first))
            steps = round((1 - share) * steps)
            rate = "" if configuration.rate == 1 else f", lr × {configuration.rate:.2g}"
            label = f"{strategy.first} first{rate}"
            first_job = _job(candidate.name, label, length, seed, first, out)
            weights = str((first_job.path / "student.safetensors").resolve())
            update = {"weights": weights}
            main = main.model_copy(update={"student": main.student.model_copy(update=update)})
        if strategy.label_free:
            steps = max(steps, CLASSIFIER_STEPS)
        main = self._as_shared(main, candidate.name, strategy.method)
        if not tested:
            data = main.data.model_copy(update={"test": None, "out_of_domain": {}})
            main = main.model_copy(update={"data": data})
        main = _of_length(main, steps / self._steps(main))
        job = _job(candidate.name, configuration.label, length, seed, main, out)
        if compared and strategy.is_baseline:  # others are compared with its plain name
            job = replace(job, method=strategy.name)
        return Trial(job, first_job)

    def batches(self) -> int:
        """The steps of an epoch of the labeled examples."""
        return self._steps(supervised(self.recipe, FROM_SCRATCH, self.recipe.student))

    def _train(self, recipe: Recipe, rate: float, seed: int) -> Any:
        lr = recipe.train.lr or 0.0  # never None, since it is resolved
        return recipe.train.model_copy(update={"lr": rate * lr, "seed": seed})

    def _as_shared(self, recipe: Recipe, student: str, method: str) -> Recipe:
        """The same with the record that all runs read, and its views."""
        other = self.shared.get((student, method)) or next(iter(self.shared.values()))
        keys = {key: getattr(other.data, key) for key in ("cycle", "view_seed")}
        data = recipe.data.model_copy(update=keys)
        return recipe.model_copy(update={"data": data, "teacher": other.teacher})

    def _steps(self, recipe: Recipe) -> int:
        """The steps of an epoch."""
        key = repr(recipe.data.unlabeled)
        if key not in self._batches:
            self._batches[key] = open_splits(recipe, self.data).batches(recipe.train)
        return self._batches[key]


def search_space(students: Sequence[Candidate], tried: Sequence[Strategy]) -> list[Configuration]:
    """The configurations that a search begins with, the most promising first.

    The rate of a classifier alone is not searched.
    Scratch and `kd`; every strategy with the first student, the first one that has a teacher with
    every student, and that one and both baselines at other learning rates: one thing differs from
    the center at a time.
    """
    center = center_of(tried)
    baselines = [strategy for strategy in tried if strategy.is_baseline]
    compared = dict.fromkeys([*baselines, center])
    space = [Configuration(students[0], strategy) for strategy in [*compared, *tried]]
    space += [Configuration(student, center) for student in students[1:]]
    searched = [each for each in compared if each.first or not each.label_free]
    space += [Configuration(students[0], each, rate) for rate in RATES for each in searched]
    return list(dict.fromkeys(space))


def center_of(tried: Sequence[Strategy]) -> Strategy:
    """The strategy that students and learning rates are varied with."""
    return next((s for s in tried if s.has_teacher), tried[-1])


def group_of(each: Configuration, tried: Sequence[Strategy]) -> Hashable | None:
    """The best of each group comes to the end: of a baseline, of a student with the center."""
    if each.strategy.is_baseline or each.strategy == center_of(tried):
        return each.candidate.name, each.strategy.name
    return None


def count_kept(configurations: Sequence[Configuration], tried: Sequence[Strategy]) -> int:
    """How many of these come to the end in any case."""
    return len({group_of(each, tried) for each in configurations} - {None})


def count_compared(tried: Sequence[Strategy]) -> int:
    """How many are compared at the end: the baselines and the best one."""
    return 1 + sum(each.is_baseline for each in tried)


def joined(
    best: Sequence[Configuration], students: Sequence[Candidate], tried: Sequence[Strategy]
) -> list[Configuration]:
    """The best of each dimension together: student and rate, with each of the `JOINED` strategies.

    Args:
        best: configurations in the order of their scores.
        students: the first is the center's.
        tried: the strategies.
    """
    center = center_of(tried)
    able = [each for each in best if each.strategy.has_teacher]
    own = [e.strategy for e in able if e.candidate is students[0] and e.rate == 1]
    of_center = [each for each in best if each.strategy == center]
    student = next((e.candidate for e in of_center if e.rate == 1), students[0])
    rate = next((e.rate for e in of_center if e.candidate is students[0]), 1.0)
    return [Configuration(student, each, rate) for each in own[:JOINED] or [center]]


def finalists(
    ranked: Sequence[Configuration], students: Sequence[Candidate], tried: Sequence[Strategy]
) -> list[Configuration]:
    """Scratch and `kd` at their own best rates, and the best one, all of its student."""
    best = [each for each in ranked if not each.strategy.is_baseline][:1]
    student = best[0].candidate if best else students[0]
    baselines = [each for each in tried if each.is_baseline]
    rates = {s.name: next((c.rate for c in ranked if c.strategy == s), 1.0) for s in baselines}
    return [*(Configuration(student, s, rates[s.name]) for s in baselines), *best]


def _of_length(recipe: Recipe, epochs: float) -> Recipe:
    """The same with so many epochs, rounded."""
    train = recipe.train.model_copy(update={"epochs": max(1, round(epochs))})
    return recipe.model_copy(update={"train": train})


def _job(student: str, label: str, length: str, seed: int, recipe: Recipe, out: Path) -> Job:
    folder = re.sub(r"[^\w.+()-]+", "-", label.replace("×", "x"))
    return Job(student, label, seed, recipe, out / f"{student}-{folder}{length}-seed{seed}")
