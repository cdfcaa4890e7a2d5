"""From the runs of a comparison to what `compare.json` says."""

from __future__ import annotations

import statistics as plain
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mentee.experiments.rows import MAIN, SCRATCH, MainScore, Row, main_score, table_of
from mentee.experiments.statistics import (
    Difference,
    Noise,
    Scores,
    difference,
    holm,
    noise,
    spread,
    verdict,
)

STOPPED = "STOPPED"
"""Begins what is said of a run that a budget stopped."""
UNTOLD = ("under way", "not begun", STOPPED)
"""Begins what needs no note of its own."""


def results(
    rows: Sequence[Row],
    seeds: Sequence[int],
    agreements: Mapping[tuple[str, str], float] | None = None,
    notes: Sequence[str] = (),
    budget: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All that `compare.json` says; every figure and table is made of it.

    Args:
        rows: in the order they were named in.
        seeds: all that were asked for.
        agreements: by student and method: the share of the test part on which the student's class
            is the teacher's.
        notes: what else there is to say.
        budget: how poor rows were stopped; None: none was.
    """
    main = main_score(rows)
    said = list(notes)
    students = list(dict.fromkeys(row.student for row in rows))
    groups = [Group([row for row in rows if row.student == s], seeds, main) for s in students]
    corrected = iter(holm([p for group in groups for p in group.ps()]))
    entries = [entry for group in groups for entry in group.entries(corrected, agreements or {})]
    for group in groups:
        said += group.notes()
    if main is None:
        said.append("No run has a score: there are no labels, or none is finished.")
    elif main.part == "validation":
        said.append("There is no test part: rows are chosen and compared on validation.")
    if len(seeds) == 1:
        said.append("One seed: no verdict. What the seed does cannot be told from what a row does.")
    if budget is not None:
        said.append(budget_said(budget, rows))
    asked = len(rows) * len(seeds)
    return {
        "score": None if main is None else main._asdict(),
        "seeds": list(seeds),
        "runs": {"finished": sum(len(row.runs) for row in rows), "of": asked},
        "ordered_by": "validation" if any(g.validated for g in groups) else "name",
        "students": {s: g.said() for s, g in zip(students, groups, strict=True)},
        "rows": entries,
        "budget": budget,
        "notes": said,
    }


class Group:
    """The rows of one student: they share a baseline, the noise and the best row.

    Args:
        rows: in the order they were named in.
        seeds: all that were asked for.
        main: the score that counts.
    """

    def __init__(self, rows: Sequence[Row], seeds: Sequence[int], main: MainScore | None) -> None:
        self.seeds, self.main = list(seeds), main
        part, name, self.higher = main or MainScore("test", MAIN[0])
        chosen = table_of(rows, seeds, "validation", name)
        self.validated = bool((~np.isnan(chosen)).any())
        self.rows = [
            rows[i] for i in order(rows, chosen if self.higher else -chosen, self.validated)
        ]
        self.scores = table_of(self.rows, seeds, part, name)
        self.noise: Noise = noise(self.scores)
        names = [row.method for row in self.rows]
        self.scratch = names.index(SCRATCH) if SCRATCH in names else None
        self.best = self._best()
        self.to_scratch = [self._against(i, self.scratch) for i in range(len(names))]
        compared = int((~np.isnan(self.scores)).any(1).sum())
        self.to_best = [self._against(i, self.best, compared) for i in range(len(names))]

    def _best(self) -> int | None:
        """The first by validation, of the rows with the most seeds."""
        if not self.validated:
            return None
        counts = (~np.isnan(self.scores)).sum(1)
        return int(np.argmax(counts)) if counts.max() > 0 else None

    def _against(self, row: int, other: int | None, chosen_of: int = 2) -> Difference | None:
        if other is None or row == other:
            return None
        return difference(self.scores, row, other, self.noise, rows=chosen_of)

    def ps(self) -> list[float | None]:
        """The p-value of each row against scratch; one that was stopped was asked all the same."""
        found = [None if each is None else each.p for each in self.to_scratch]
        return [1.0 if stopped(r) else p for r, p in zip(self.rows, found, strict=True)]

    def entries(
        self, corrected: Any, agreements: Mapping[tuple[str, str], float]
    ) -> list[dict[str, Any]]:
        """A row of `compare.json` for each row; takes as many corrected p-values."""
        found = []
        for i, row in enumerate(self.rows):
            p, against = next(corrected), self.to_scratch[i]
            said = None if against is None else as_json(against, p_holm=p)
            best = None if (to_best := self.to_best[i]) is None else as_json(to_best)
            found.append(
                {
                    "student": row.student,
                    "method": row.method,
                    "best": i == self.best,
                    "steady": bool(self.noise.steady[i]),
                    "verdict": None if against is None else verdict(against, p, higher=self.higher),
                    **self._scores(row),
                    "to_scratch": said,
                    "to_best": best,
                    "agreement": agreements.get((row.student, row.method)),
                    **costs(row),
                    "out_of_domain": domains(row, self.main),
                    "seeds": sorted(row.runs),
                    "missing": {str(seed): text for seed, text in row.missing.items()},
                }
            )
        return found

    def _scores(self, row: Row) -> dict[str, Any]:
        name = MAIN[0] if self.main is None else self.main.name
        parts = {part: row.score(part, name) for part in ("validation", "test")}
        ece = row.score("test", "ece").values()
        return {
            **{part: summary(by_seed) for part, by_seed in parts.items()},
            "ece": plain.mean(ece) if ece else None,
        }

    def said(self) -> dict[str, Any]:
        """What is known of the whole group."""
        variance = self.noise.variance
        return {
            "best": None if self.best is None else self.rows[self.best].method,
            "deviation": None if variance is None else variance**0.5,
            "freedom": self.noise.freedom,
            "unsteady": [
                r.method for r, s in zip(self.rows, self.noise.steady, strict=True) if not s
            ],
        }

    def notes(self) -> list[str]:
        """A sentence for everything that a reader has to know of these rows."""
        who = self.rows[0].student
        found = []
        if self.scratch is None or not self.rows[self.scratch].runs:
            found.append(f"{who}: from scratch is not finished, so nothing is compared with it.")
        if not self.validated:
            found.append(f"{who}: no validation score: ordered by name, and no best is chosen.")
        for row, against in zip(self.rows, self.to_scratch, strict=True):
            gone = {t: [s for s, u in row.missing.items() if u == t] for t in row.missing.values()}
            told = {t: s for t, s in gone.items() if not t.startswith(UNTOLD)}
            reasons = [f"{t} ({seeds_said(s)})" for t, s in told.items()]
            if reasons:
                common = against is not None and against.seeds
                left = f"; compared on {common} seed{'s' * (common != 1)}" if common else ""
                found.append(f"{who} {row.method}: {'; '.join(reasons)}{left}.")
        unsteady = self.said()["unsteady"]
        if unsteady:
            found.append(
                f"{who}: {', '.join(unsteady)} vary over the seeds more than the other rows; they "
                "are judged by their own spread and not pooled."
            )
        steps = {run["steps"] for row in self.rows for run in row.runs.values()}
        if len(steps) > 1:
            found.append(
                f"{who}: not of equal budget, {min(steps):,} to {max(steps):,} steps "
                "(select.patience stops a run early)."
            )
        return found


def order(rows: Sequence[Row], chosen: Scores, validated: bool) -> list[int]:
    """By validation (more is better) over the seeds that a row shares with scratch, best first."""
    names = [(row.student, row.method) for row in rows]
    if not validated:
        return sorted(range(len(rows)), key=lambda i: names[i])
    base = next((i for i, row in enumerate(rows) if row.method == SCRATCH), None)
    paired = chosen if base is None else chosen - chosen[base]
    # From Python's sum: the mean of no numbers is a warning.
    means = [[v for v in each if v == v] for each in paired.tolist()]
    keys = [sum(each) / len(each) if each else -np.inf for each in means]
    return sorted(range(len(rows)), key=lambda i: -keys[i])


def budget_said(budget: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """What was skipped, in words."""
    at, count = ", ".join(map(str, budget["rungs"])), sum(map(stopped, rows))
    return (
        f"Budget {budget['share']:g}: after epoch {at} of {budget['epochs']} a row of the first "
        f"seed went on only if it was among the best 1 in {budget['factor']} on validation. "
        f"{count} row{'s were' if count != 1 else ' was'} stopped, without a verdict; what "
        "they have done can be resumed. Those that went on were chosen by their first seed, which "
        "flatters them."
    )


def stopped(row: Row) -> bool:
    """Whether a budget stopped it."""
    return any(text.startswith(STOPPED) for text in row.missing.values())


def seeds_said(seeds: Sequence[int]) -> str:
    """Some seeds in words.

    Example:
        >>> seeds_said([3]), seeds_said([0, 1])
        ('seed 3', 'seeds 0, 1')
    """
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def summary(by_seed: Mapping[int, float]) -> dict[str, Any] | None:
    """A score over seeds."""
    if not by_seed:
        return None
    mean, deviation, half = spread(list(by_seed.values()))
    return {
        "mean": mean,
        "deviation": deviation,
        "half": half,
        "scores": {str(seed): value for seed, value in by_seed.items()},
    }


def as_json(found: Difference, **more: Any) -> dict[str, Any]:
    """A difference with its 95 % interval."""
    said = {"difference": found.mean, "low": found.low, "high": found.high, "seeds": found.seeds}
    return {**said, "p": found.p, "p_own": found.own_p, **more}


def costs(row: Row) -> dict[str, Any]:
    """What a row's runs took, on average."""
    steps = {run["steps"] for run in row.runs.values()}
    return {
        "steps": max(steps) if steps else None,
        "seconds": row.mean("seconds"),
        "seconds_per_epoch": row.mean("seconds_per_epoch"),
        "memory": row.mean("memory", "resident"),
        "memory_gpu": row.mean("memory", "gpu"),
        "parameters": row.mean("parameters", "student"),
        "heads": row.mean("parameters", "heads"),
    }


def domains(row: Row, main: MainScore | None) -> dict[str, dict[str, float | None]]:
    """The main score and its drop in other domains, corruptions by their mean."""
    name = MAIN[0] if main is None else main.name
    labels = dict.fromkeys(
        label for run in row.runs.values() for label in run.get("out_of_domain") or {}
    )
    return {
        label: {
            "score": row.mean("out_of_domain", label, "scores", name),
            "drop": row.mean("out_of_domain", label, "drop"),
        }
        for label in labels
        if "/" not in label
    }
