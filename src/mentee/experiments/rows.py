"""The rows of a comparison, student × method, and what is known of their runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mentee.experiments.jobs import FAILURE, Job
from mentee.experiments.statistics import Scores
from mentee.tasks import TASKS

SCRATCH = "none"
MAIN = tuple(task.main_score for task in TASKS.values() if task.main_score)
"""The main scores of the tasks; of a run that says none, the first that it has is compared."""


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
    """A student with a method.

    Attributes:
        student: its network.
        method: its method.
        runs: what `summary.json` says, by seed, of the runs that are finished.
        missing: what became of the others, by seed.
    """

    student: str
    method: str
    runs: Mapping[int, Mapping[str, Any]]
    missing: Mapping[int, str]

    def score(self, part: str, name: str) -> dict[int, float]:
        """A score by seed, of the runs that have it."""
        found = {seed: (run.get(part) or {}).get(name) for seed, run in self.runs.items()}
        return {seed: float(value) for seed, value in found.items() if value is not None}

    def mean(self, *keys: str) -> float | None:
        """The mean over the runs of a number in their summaries; None: none has it."""
        values = [value for run in self.runs.values() if (value := dig(run, keys)) is not None]
        return sum(values) / len(values) if values else None


def dig(content: Any, keys: Sequence[str]) -> Any:
    """What is behind some keys, one in the other; None where one is not there."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def rows_of(
    jobs: Sequence[Job], failed: Mapping[str, str], stopped: Mapping[str, str]
) -> list[Row]:
    """The rows of these runs, in the order they are named in.

    Args:
        jobs: all runs.
        failed: why runs failed, by name.
        stopped: what to say of runs that are not gone on with, by name.
    """
    pairs = dict.fromkeys(job.pair for job in jobs)
    runs: dict[tuple[str, str], dict[int, Any]] = {pair: {} for pair in pairs}
    missing: dict[tuple[str, str], dict[int, str]] = {pair: {} for pair in pairs}
    for job in jobs:
        if job.finished:
            runs[job.pair][job.seed] = json.loads(job.folder.summary.read_text(encoding="utf-8"))
        else:
            missing[job.pair][job.seed] = stopped.get(job.name) or state(job, failed)
    return [Row(*pair, runs[pair], missing[pair]) for pair in pairs]


def state(job: Job, failed: Mapping[str, str]) -> str:
    """What became of a run that is not finished, in a few words."""
    text = failed.get(job.name)
    if text is None and (job.path / FAILURE).is_file():
        text = (job.path / FAILURE).read_text(encoding="utf-8").strip().splitlines()[-1]
    if text is None:
        return "under way" if job.begun else "not begun"
    return diverged(text) or f"{'failed' if job.begun else 'does not fit'}: {text}"


def diverged(text: str) -> str | None:
    """Where a run diverged, if that is what its error says.

    Example:
        >>> diverged("the loss is nan at step 12 (epoch 1): kl nan; nothing of this step was kept")
        'DIVERGED at step 12'
    """
    found = re.match(r"the loss is \S+ at step (\d+)", text)
    return f"DIVERGED at step {found[1]}" if found else None


def main_score(rows: Sequence[Row]) -> MainScore | None:
    """The score that rows are compared by: on test, else on validation."""
    named = [score for row in rows for run in row.runs.values() if (score := run.get("score"))]
    scores = {each["name"]: each["higher_is_better"] for each in named} or dict.fromkeys(MAIN, True)
    for part in ("test", "validation"):
        for name, higher in scores.items():
            if any(row.score(part, name) for row in rows):
                return MainScore(part, name, higher)
    return None


def table_of(rows: Sequence[Row], seeds: Sequence[int], part: str, name: str) -> Scores:
    """A score as `[r s]`, NaN where a run is missing."""
    found = [row.score(part, name) for row in rows]
    return np.array([[each.get(seed, np.nan) for seed in seeds] for each in found], np.float64)
