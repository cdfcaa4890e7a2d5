"""From the rows of a comparison to `compare.json`: order, differences, verdicts, notes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mentee.experiments.rows import (
    MAIN_SCORES,
    SCRATCH,
    STOPPED,
    MainScore,
    Row,
    main_score,
    score_table,
)
from mentee.experiments.statistics import (
    Difference,
    Scores,
    difference,
    holm,
    mean_interval,
    noise,
    verdict,
)
from mentee.report import teacher_notes, teachers_of

NO_NOTE = ("under way", "not started", STOPPED)  # states that need no note of their own


def results(
    rows: Sequence[Row],
    seeds: Sequence[int],
    agreements: Mapping[tuple[str, str], float] | None = None,
    notes: Sequence[str] = (),
    budget: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `compare.json`; every figure and table is made from it.

    Args:
        rows: in the order they were named in.
        seeds: all that were asked for.
        agreements: by student and method: the share of the test part on which the student's class
            is the teacher's.
        notes: further sentences.
        budget: how poor rows were stopped; None: none was.
    """
    main, notes = main_score(rows), list(notes)
    students = list(dict.fromkeys(row.student for row in rows))
    groups = [Group([row for row in rows if row.student == s], seeds, main) for s in students]
    corrected = iter(holm([p for group in groups for p in group.p_values()]))
    entries = [entry for group in groups for entry in group.entries(corrected, agreements or {})]
    notes += [note for group in groups for note in group.notes()]
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
        part, self.score, self.higher = main or MainScore("test", MAIN_SCORES[0])
        validation = score_table(rows, seeds, "validation", self.score)
        self.validated = bool((~np.isnan(validation)).any())
        gain = validation if self.higher else -validation
        self.rows = [rows[i] for i in row_order(rows, gain, self.validated)]
        self.scores = score_table(self.rows, seeds, part, self.score)
        self.noise = noise(self.scores)
        counts = (~np.isnan(self.scores)).sum(1)
        names = [row.method for row in self.rows]
        self.scratch = names.index(SCRATCH) if SCRATCH in names else None
        # The first by validation, of the rows with the most seeds.
        self.best = int(np.argmax(counts)) if self.validated and counts.max() > 0 else None
        compared = int((counts > 0).sum())
        self.to_scratch = [self._difference(i, self.scratch) for i in range(len(names))]
        self.to_best = [self._difference(i, self.best, compared) for i in range(len(names))]

    def _difference(self, row: int, other: int | None, chosen_of: int = 2) -> Difference | None:
        if other is None or row == other:
            return None
        return difference(self.scores, row, other, self.noise, rows=chosen_of)

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
        for i, row in enumerate(self.rows):
            p, scratch, best = next(corrected), self.to_scratch[i], self.to_best[i]
            ece = row.score("test", "ece").values()
            yield {
                "student": row.student,
                "method": row.method,
                "best": i == self.best,
                "steady": bool(self.noise.steady[i]),
                "verdict": None if scratch is None else verdict(scratch, p, higher=self.higher),
                **{k: score_summary(row.score(k, self.score)) for k in ("validation", "test")},
                "ece": statistics.mean(ece) if ece else None,
                "to_scratch": None if scratch is None else as_json(scratch, p_holm=p),
                "to_best": None if best is None else as_json(best),
                "agreement": agreements.get((row.student, row.method)),
                **costs(row),
                "out_of_domain": domains(row, self.score),
                "seeds": sorted(row.runs),
                "missing": {str(seed): text for seed, text in row.missing.items()},
            }

    def summary(self) -> dict[str, Any]:
        """What `compare.json` has of the student."""
        variance, steady = self.noise.variance, self.noise.steady
        return {
            "best": None if self.best is None else self.rows[self.best].method,
            "deviation": None if variance is None else variance**0.5,
            "freedom": self.noise.freedom,
            "unsteady": [row.method for row, s in zip(self.rows, steady, strict=True) if not s],
        }

    def notes(self) -> Iterator[str]:
        """A sentence for everything that a reader has to know of these rows."""
        student = self.rows[0].student
        if self.scratch is None or not self.rows[self.scratch].runs:
            yield f"{student}: from scratch is not finished, so nothing is compared with it."
        if not self.validated:
            yield f"{student}: no validation score: ordered by name, and no best is chosen."
        for row, to_scratch in zip(self.rows, self.to_scratch, strict=True):
            seeds: dict[str, list[int]] = {}
            for seed, text in row.missing.items():
                seeds.setdefault(text, []).append(seed)
            reasons = [
                f"{text} (seed{'s' * (len(each) > 1)} {', '.join(map(str, each))})"
                for text, each in seeds.items()
                if not text.startswith(NO_NOTE)
            ]
            if reasons:
                n = to_scratch.seeds if to_scratch is not None else 0
                compared = f"; compared on {n} seed{'s' * (n != 1)}" if n else ""
                yield f"{student} {row.method}: {'; '.join(reasons)}{compared}."
        if unsteady := self.summary()["unsteady"]:
            yield (
                f"{student}: {', '.join(unsteady)} vary over the seeds more than the other rows; "
                "they are judged by their own spread and not pooled."
            )
        steps = {run["steps"] for row in self.rows for run in row.runs.values()}
        if len(steps) > 1:
            yield (
                f"{student}: not of equal budget, {min(steps):,} to {max(steps):,} steps "
                "(select.patience stops a run early)."
            )


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


def budget_note(budget: Mapping[str, Any], stopped: int) -> str:
    """A sentence on the rows that a budget stopped."""
    at = ", ".join(map(str, budget["rungs"]))
    return (
        f"Budget {budget['share']:g}: after epoch {at} of {budget['epochs']} a row of the first "
        f"seed was continued only if it was among the best 1 in {budget['factor']} on validation. "
        f"{stopped} row{'s were' if stopped != 1 else ' was'} stopped, without a verdict; these "
        "runs can be resumed. The others were chosen by their first seed, which flatters them."
    )


def score_summary(by_seed: Mapping[int, float]) -> dict[str, Any] | None:
    """A score over seeds, for JSON."""
    if not by_seed:
        return None
    mean, deviation, half = mean_interval(list(by_seed.values()))
    scores = {str(seed): value for seed, value in by_seed.items()}
    return {"mean": mean, "deviation": deviation, "half": half, "scores": scores}


def as_json(d: Difference, **more: Any) -> dict[str, Any]:
    """A difference with its 95 % interval, for JSON."""
    interval = {"difference": d.mean, "low": d.low, "high": d.high, "seeds": d.seeds}
    return {**interval, "p": d.p, "p_own": d.own_p, **more}


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


def domains(row: Row, name: str) -> dict[str, dict[str, float | None]]:
    """The main score and its drop in other domains; of corruptions their mean only."""
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
