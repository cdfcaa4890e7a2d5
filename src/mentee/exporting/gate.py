"""The gate: an exported file's outputs are those of the student, or it is not written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mentee.data import Examples
from mentee.errors import DataError, RunError
from mentee.evaluation.details import score_outputs
from mentee.evaluation.predictions import collect_features
from mentee.exporting.runtime import OpenedStudent
from mentee.exporting.student import Student
from mentee.features import resolve
from mentee.models import normalize
from mentee.representations.pooled import averaged
from mentee.tasks import Regression

TOLERANCE = 1e-4
"""By how much outputs may differ, as a share of the largest one, or of 1 where all are smaller."""

RESIZED = 0.05
"""The same where images are resized inside, whose pixels are rounded otherwise by one level."""


@dataclass(frozen=True)
class Parity:
    """How an exported file compares with its student.

    Attributes:
        examples: how many were compared.
        part: which they are: `validation`, `test` or `training`.
        difference: the largest difference of two outputs.
        largest: the largest output.
        agreement: the share of the examples with the same predicted class or classes; None: there
            are no classes.
        score: name and value of the main score by the student's outputs; None without labels.
        file_score: the same by the file's outputs.
        resized: the largest difference where images come in their own sizes and are resized inside;
            None: they are not.
    """

    examples: int
    part: str
    difference: float
    largest: float
    agreement: float | None
    score: tuple[str, float] | None
    file_score: tuple[str, float] | None
    resized: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.examples:,} {self.part} examples"]
        parts.append(f"largest difference {self.difference:.2g} of {self.largest:.3g}")
        if self.agreement is not None:
            parts.append(f"same class in {100 * self.agreement:.4g} %")
        if self.score is not None and self.file_score is not None:
            parts.append(f"{self.score[0]} {self.score[1]:.4f} and {self.file_score[1]:.4f}")
        if self.resized is not None:
            parts.append(f"difference of images resized inside {self.resized:.2g}")
        return ", ".join(parts)


def compare(student: Student, file: OpenedStudent, examples: Examples, part: str) -> Parity:
    """Run some examples through a student, as it was evaluated, and through its file."""
    signature, contract, splits = student.signature, student.contract, student.splits
    first = normalize(next(splits.clean(examples)).inputs[:2], contract)
    layer = "embedding" if signature.output == "embedding" else "logits"
    layers = resolve(student.network, [layer], first)
    expected = collect_features(student.network, layers, contract, splits.clean(examples))[layer]
    if layer == "embedding":
        expected = averaged(expected)
    batches = (np.ascontiguousarray(student.inputs(b.inputs)) for b in splits.clean(examples))
    outputs = torch.from_numpy(np.concatenate([file.run(batch) for batch in batches]))
    unscaled = outputs
    if isinstance(student.task, Regression) and layer == "logits":
        unscaled, expected_values = student.task.targets(outputs), student.task.values(expected)
    else:
        expected_values = expected
    if outputs.shape != expected.shape:
        raise RunError(f"the file gives {list(outputs.shape)}, expected {list(expected.shape)}")
    difference = (outputs - expected_values).abs().max().item()
    resized = None
    if None in signature.shape:
        own = [examples.read(np.array([row]))[0] for row in range(len(examples))]
        raw = [np.ascontiguousarray(each.permute(2, 0, 1))[None] for each in own]  # type: ignore[union-attr]
        rows = torch.from_numpy(np.concatenate([file.run(each) for each in raw]))
        resized = (rows - expected_values).abs().max().item()
    scored = layer == "logits"
    return Parity(
        len(examples),
        part,
        math.inf if math.isnan(difference) else difference,
        expected_values.abs().max().item(),
        agreement(outputs, expected, signature.outputs, signature.threshold) if scored else None,
        main_score(student, expected, examples) if scored else None,
        main_score(student, unscaled, examples) if scored else None,
        resized,
    )


def agreement(one: Tensor, other: Tensor, outputs: str | None, threshold: float) -> float | None:
    """The share of the examples with the same class, or the same set of classes."""
    if outputs == "label logits":
        edge = math.log(threshold / (1 - threshold))
        return ((one > edge) == (other > edge)).all(1).float().mean().item()
    if outputs == "values":
        return None
    return (one.argmax(1) == other.argmax(1)).float().mean().item()


def main_score(student: Student, outputs: Tensor, examples: Examples) -> tuple[str, float] | None:
    """The score that the student was chosen by, or its task's main one."""
    try:
        scores = score_outputs(outputs, examples, student.recipe.select)
    except DataError:  # these examples do not have all that it needs
        return None
    name = student.recipe.select.by
    name = name if name in scores else student.task.main_score
    return None if name not in scores else (str(name), scores[str(name)])


def refuse(parity: Parity, tolerance: float, where: Callable[[], str]) -> None:
    """Refuse a file whose outputs are not the student's.

    A class may differ only where two outputs are equal within the tolerance, so that outputs decide
    alone. Images that are resized inside may be off by a level of 255: `RESIZED` of the largest.
    `where` tells which layer differs; it is asked only then.

    Raises:
        RunError: they differ by more than the tolerance.
    """
    largest = max(1.0, parity.largest)
    if parity.difference <= tolerance * largest and (parity.resized or 0) <= RESIZED * largest:
        return
    raise RunError(
        f"the exported file differs from the student by more than {tolerance:g} and is not "
        f"written: {parity}; {where()}; try another format or opset, or say --tolerance"
    )
