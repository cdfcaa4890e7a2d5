"""How much of its score a student loses as a quantized file, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import cosine_similarity

from mentee.data import Examples
from mentee.data.counter_rng import below
from mentee.exporting.gate import main_score
from mentee.exporting.student import Student
from mentee.metrics import jackknife_interval, scores_without_groups
from mentee.metrics.jackknife import GROUPS
from mentee.tasks import Regression


@dataclass(frozen=True)
class Judged:
    """Outputs of an int8 file beside those of its float file; attributes as of `Quantized`."""

    score: str
    scores: tuple[float, float]
    drop: tuple[float, float, float]


def scored(student: Student, logits: Tensor, examples: Examples) -> tuple[str, float] | None:
    """The main score of a file's outputs; None: these are no predictions, or have no labels."""
    if student.signature.output == "embedding":
        return None
    in_units = isinstance(student.task, Regression) and student.signature.output == "values"
    return main_score(student, student.task.targets(logits) if in_units else logits, examples)


def compared(student: Student, expected: Tensor, logits: Tensor, examples: Examples) -> Judged:
    """Scores of both files, and the drop in points with the interval of the paired difference.

    Without labels the score of the int8 file is the mean cosine of both files' outputs.
    """
    score = scored(student, expected, examples)
    sign = 1.0 if score is None or student.task.direction(score[0]) else -1.0

    def both(rows: Any) -> tuple[float, float]:
        if score is None:
            return 1.0, float(cosine_similarity(expected[rows], logits[rows]).mean())
        some = examples.take(rows)
        pair = [scored(student, each[rows], some) for each in (expected, logits)]
        return tuple(float("nan") if each is None else each[1] for each in pair)  # type: ignore[return-value]

    def drop(rows: Any) -> float:
        one, other = both(rows)
        return 100 * sign * (one - other)

    every = np.arange(len(examples))
    whole = drop(every)
    groups = below(GROUPS, 0, examples.keys, "interval")
    left_out = scores_without_groups(drop, groups)
    low, high = jackknife_interval(left_out, whole) if len(left_out) > 1 else (np.nan, np.nan)
    name = "cosine" if score is None else score[0]
    return Judged(name, both(every), (whole, low, high))
