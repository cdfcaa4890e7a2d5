"""The rows of a comparison, student × method, read from the folders of their runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mentee.experiments.jobs import FAILURE, Job
from mentee.experiments.statistics import Scores
from mentee.tasks import TASKS

SCRATCH = "none"
PARTS = ("test", "validation")
STOPPED = "STOPPED"
"""Begins the state of a run that a budget stopped."""
MAIN_SCORES = tuple(task.main_score for task in TASKS.values() if task.main_score)
"""The main scores of the tasks; of a run that names none, the first that it has is compared."""


class MainScore(NamedTuple):
    """The score that methods are compared by.

    Attributes:
        part: `test`, or `validation` where there is no test part.
        name: of the score.
        higher_is_better: false for an error.
    """

    part: str
    name: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class Row:
    """A student with a method: summaries of the finished runs, states of others, by seed."""

    student: str
    method: str
    runs: Mapping[int, Mapping[str, Any]]
    missing: Mapping[int, str]

    def score(self, part: str, name: str) -> dict[int, float]:
        """A score by seed, of the runs that have it; `part` may be the name of a domain."""
        scores = {}
        for seed, run in self.runs.items():
            domains = run.get("out_of_domain") or {}
            of_part = run.get(part) if part in PARTS else (domains.get(part) or {}).get("scores")
            scores[seed] = (of_part or {}).get(name)
        return {seed: float(value) for seed, value in scores.items() if value is not None}

    @property
    def domains(self) -> list[str]:
        """The names of other domains; of corruptions that of their mean."""
        names = [name for run in self.runs.values() for name in run.get("out_of_domain") or {}]
        return [name for name in dict.fromkeys(names) if "/" not in name]

    def mean(self, *keys: str) -> float | None:
        """The mean over the runs of a number in their summaries; None: none has it."""
        values: list[Any] = list(self.runs.values())
        for key in keys:
            values = [each[key] for each in values if each.get(key) is not None]
        return sum(values) / len(values) if values else None

    @property
    def stopped(self) -> bool:
        """Whether a budget stopped it."""
        return any(text.startswith(STOPPED) for text in self.missing.values())


def read_rows(
    jobs: Sequence[Job], failed: Mapping[str, str], stopped: Mapping[str, str]
) -> list[Row]:
    """The rows of these runs, in the order they are named in.

    `failed` and `stopped` say by name why runs failed or were stopped.
    """
    pairs = dict.fromkeys(job.pair for job in jobs)
    runs: dict[tuple[str, str], dict[int, Any]] = {pair: {} for pair in pairs}
    missing: dict[tuple[str, str], dict[int, str]] = {pair: {} for pair in pairs}
    for job in jobs:
        if job.finished:
            runs[job.pair][job.seed] = job.read_summary()
        else:
            missing[job.pair][job.seed] = stopped.get(job.name) or job_state(job, failed)
    return [Row(*pair, runs[pair], missing[pair]) for pair in pairs]


def job_state(job: Job, failed: Mapping[str, str]) -> str:
    """The state of a run that is not finished, in a few words."""
    text = failed.get(job.name)
    if text is None and (job.path / FAILURE).is_file():
        lines = (job.path / FAILURE).read_text("utf-8", errors="replace").strip().splitlines()
        text = lines[-1] if lines else "for an unknown reason"
    if text is None:
        return "under way" if job.started else "not started"
    if diverged := re.match(r"the loss is \S+ at step (\d+)", text):
        return f"DIVERGED at step {diverged[1]}"
    return f"{'failed' if job.started else 'does not fit'}: {text}"


def score_name(by: str | None, scores: Mapping[str, float]) -> str:
    """The score that a run is chosen by: `by`, else the first main one of a task that it has."""
    return by or next((name for name in MAIN_SCORES if name in scores), MAIN_SCORES[0])


def main_score(rows: Sequence[Row]) -> MainScore | None:
    """The score that rows are compared by: on test, else on validation."""
    named = [score for row in rows for run in row.runs.values() if (score := run.get("score"))]
    scores = {each["name"]: each["higher_is_better"] for each in named}
    for part in PARTS:
        for name, higher in (scores or dict.fromkeys(MAIN_SCORES, True)).items():
            if any(row.score(part, name) for row in rows):
                return MainScore(part, name, higher)
    return None


def score_table(rows: Sequence[Row], seeds: Sequence[int], part: str, name: str) -> Scores:
    """A score as `[r s]`, NaN where a run is missing."""
    scores = [row.score(part, name) for row in rows]
    return np.array([[each.get(seed, np.nan) for seed in seeds] for each in scores], np.float64)
