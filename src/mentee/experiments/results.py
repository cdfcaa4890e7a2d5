"""From the rows of a comparison to `compare.json`: order, differences, verdicts, notes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mentee.experiments.comparison_notes import (
    budget_note,
    examples_needed,
    group_notes,
    majority,
    run_notes,
)
from mentee.experiments.rows import (
    MAIN_SCORES,
    SCRATCH,
    MainScore,
    Row,
    main_score,
    score_table,
)
from mentee.experiments.statistics import (
    Difference,
    Noise,
    Scores,
    difference,
    holm,
    judged_interval,
    noise,
    seeds_needed,
    verdict,
)
from mentee.metrics import mean_interval
from mentee.report import teacher_notes, teachers_of

POINTS = 0.02
"""The difference for which is told how many seeds, and test examples, it takes to see it."""


def results(
    rows: Sequence[Row],
    seeds: Sequence[int],
    agreements: Mapping[tuple[str, str], float] | None = None,
    notes: Sequence[str] = (),
    budget: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `compare.json`; every figure and table is made from it.

    `agreements` are, by student and method, the shares of the test part on which the student's
    class is the teacher's; `budget` says how poor rows were stopped, or None.
    """
    main, notes = main_score(rows), list(notes)
    students = list(dict.fromkeys(row.student for row in rows))
    groups = [Group([row for row in rows if row.student == s], seeds, main) for s in students]
    corrected = iter(holm([p for group in groups for p in group.p_values()]))
    entries = [entry for group in groups for entry in group.entries(corrected, agreements or {})]
    notes += [note for group in groups for note in group_notes(group)]
    notes += run_notes(rows)
    if main is None:
        notes.append("No run has a score: there are no labels, or none is finished.")
    elif main.part == "validation":
        notes.append("There is no test part: rows are chosen and compared on validation.")
    if len(seeds) == 1:
        notes.append("One seed: no verdict. Effects of seed and method cannot be told apart.")
    teachers = next((t for row in rows for run in row.runs.values() if (t := teachers_of(run))), {})
    notes += [f"The {note}." for note in teacher_notes(teachers)]
    if budget is not None:
        notes.append(budget_note(budget, sum(row.stopped for row in rows)))
    return {
        "score": None if main is None else main._asdict(),
        "majority": None if main is None else majority(rows, main.part),
        "seeds": list(seeds),
        "runs": {"finished": sum(len(row.runs) for row in rows), "of": len(rows) * len(seeds)},
        "ordered_by": "validation" if any(group.validated for group in groups) else "name",
        "students": {s: group.summary() for s, group in zip(students, groups, strict=True)},
        "rows": entries,
        "teachers": teachers,
        "budget": budget,
        "notes": notes,
    }


class Group:
    """The rows of one student: they share a baseline, the noise and the best row."""

    def __init__(self, rows: Sequence[Row], seeds: Sequence[int], main: MainScore | None) -> None:
        self.part, self.score, self.higher = main or MainScore("test", MAIN_SCORES[0])
        self.seeds = seeds
        validation = score_table(rows, seeds, "validation", self.score)
        self.validated = bool((~np.isnan(validation)).any())
        gain = validation if self.higher else -validation
        self.rows = [rows[i] for i in row_order(rows, gain, self.validated)]
        self.scores = score_table(self.rows, seeds, self.part, self.score)
        self.noise = noise(self.scores)
        counts = (~np.isnan(self.scores)).sum(1)
        names = [row.method for row in self.rows]
        self.scratch = names.index(SCRATCH) if SCRATCH in names else None
        # The first by validation, of the rows with the most seeds.
        self.best = int(np.argmax(counts)) if self.validated and counts.max() > 0 else None
        compared = int((counts > 0).sum())
        self.to_scratch = differences(self.scores, self.scratch, self.noise)
        self.to_best = differences(self.scores, self.best, self.noise, chosen_of=compared)
        self.domains = list(dict.fromkeys(name for row in self.rows for name in row.domains))

    def p_values(self) -> list[float | None]:
        """The p-value of each row against scratch; 1 of stopped rows, which are corrected for."""
        return [
            1.0 if row.stopped else None if d is None else d.p
            for row, d in zip(self.rows, self.to_scratch, strict=True)
        ]

    def entries(
        self, corrected: Iterator[float | None], agreements: Mapping[tuple[str, str], float]
    ) -> Iterator[dict[str, Any]]:
        """An entry of `compare.json` for each row; takes as many corrected p-values."""
        domains = {name: self.domain(name) for name in self.domains}
        for i, row in enumerate(self.rows):
            p, scratch, best = next(corrected), self.to_scratch[i], self.to_best[i]
            yield {
                "student": row.student,
                "method": row.method,
                "best": i == self.best,
                "steady": bool(self.noise.steady[i]),
                "verdict": None if scratch is None else verdict(scratch, p, higher=self.higher),
                **{k: score_summary(row.score(k, self.score)) for k in ("validation", "test")},
                "ece": mean_of(row.score("test", "ece")),
                "balanced_accuracy": mean_of(row.score(self.part, "balanced_accuracy")),
                "to_scratch": None if scratch is None else as_json(scratch, p),
                "to_best": None if best is None else as_json(best),
                "agreement": agreements.get((row.student, row.method)),
                **costs(row),
                "out_of_domain": {d: each[i] for d, each in domains.items() if each[i]},
                "seeds": sorted(row.runs),
                "missing": {str(seed): text for seed, text in row.missing.items()},
            }

    def domain(self, name: str) -> list[dict[str, Any] | None]:
        """For each row its score in another domain, the drop, and what is judged of it there."""
        scores = score_table(self.rows, self.seeds, name, self.score)
        to_scratch = differences(scores, self.scratch, noise(scores))
        corrected = holm([None if d is None else d.p for d in to_scratch])
        entries: list[dict[str, Any] | None] = []
        for row, d, p in zip(self.rows, to_scratch, corrected, strict=True):
            summary = score_summary(row.score(name, self.score))
            entry = {
                "score": summary and summary["mean"],
                "deviation": summary and summary["deviation"],
                "half": summary and summary["half"],
                "drop": row.mean("out_of_domain", name, "drop"),
                "examples": row.mean("out_of_domain", name, "examples"),
                "to_scratch": None if d is None else as_json(d, p),
                "verdict": None if d is None else verdict(d, p, higher=self.higher),
            }
            entries.append(entry if name in row.domains else None)
        return entries

    def summary(self) -> dict[str, Any]:
        """What `compare.json` has of the student."""
        variance, steady = self.noise.variance, self.noise.steady
        known = self.scores[~np.isnan(self.scores)]
        is_share = self.score == "accuracy" and len(known)
        examples = {
            int((run.get("examples") or {}).get(self.part) or 0)
            for row in self.rows
            for run in row.runs.values()
        }
        return {
            "best": None if self.best is None else self.rows[self.best].method,
            "deviation": None if variance is None else variance**0.5,
            "freedom": self.noise.freedom,
            "seeds_needed": seeds_needed(self.noise, POINTS),
            "examples": min(examples, default=0),
            "examples_needed": examples_needed(known.mean(), POINTS) if is_share else None,
            "unsteady": [row.method for row, s in zip(self.rows, steady, strict=True) if not s],
        }


def row_order(rows: Sequence[Row], validation: Scores, validated: bool) -> list[int]:
    """Best first by validation, over the seeds that a row shares with scratch; else by name."""
    if not validated:
        return sorted(range(len(rows)), key=lambda i: (rows[i].student, rows[i].method))
    base = next((i for i, row in enumerate(rows) if row.method == SCRATCH), None)
    paired = validation if base is None else validation - validation[base]
    # Python's sum, since np.mean of no numbers is a warning.
    means = [[value for value in each if value == value] for each in paired.tolist()]
    keys = [sum(each) / len(each) if each else -np.inf for each in means]
    return sorted(range(len(rows)), key=lambda i: -keys[i])


def score_summary(by_seed: Mapping[int, float]) -> dict[str, Any] | None:
    """A score over seeds, for JSON."""
    if not by_seed:
        return None
    mean, deviation, half = mean_interval(list(by_seed.values()))
    scores = {str(seed): value for seed, value in by_seed.items()}
    return {"mean": mean, "deviation": deviation, "half": half, "scores": scores}


def as_json(d: Difference, corrected: float | None = None) -> dict[str, Any]:
    """A difference with its 95 % interval, and that of its verdict, for JSON."""
    interval = {"difference": d.mean, "low": d.low, "high": d.high, "seeds": d.seeds}
    judged = judged_interval(d, corrected)
    ends = None if judged is None else list(judged)
    return {**interval, "p": d.p, "p_own": d.own_p, "p_holm": corrected, "judged": ends}


def differences(
    scores: Scores, other: int | None, pooled: Noise, *, chosen_of: int = 2
) -> list[Difference | None]:
    """Each row minus another one, as `difference`; None of that row itself."""
    return [
        None
        if other is None or i == other
        else difference(scores, i, other, pooled, rows=chosen_of)
        for i in range(len(scores))
    ]


def mean_of(by_seed: Mapping[int, float]) -> float | None:
    """The mean over the seeds; None: there is none."""
    return statistics.mean(by_seed.values()) if by_seed else None


def costs(row: Row) -> dict[str, Any]:
    """Steps, time, memory and parameters of a row's runs, on average."""
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
