"""What a student is trained to predict, one object per kind of label: `TASKS`.

Whatever depends on the kind of label asks the examples' task: how labels are read and split, the
loss, the scores and their direction, what is kept of predictions, how an embedding is probed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.errors import DataError, RecipeError, suggest
from mentee.tasks.classification import MultiLabel, SingleLabel
from mentee.tasks.label_cells import holds_rows, is_missing, numbers_of
from mentee.tasks.label_rows import are_probabilities, columns_of_numbers
from mentee.tasks.mixed_labels import by_class, mixed_labels, mixed_mask
from mentee.tasks.regression import Regression
from mentee.tasks.scoring import class_score, scores_by_class, scores_of
from mentee.tasks.task import OUTPUTS, Labels, Outputs, Task

__all__ = [
    "DIRECTIONS",
    "OUTPUTS",
    "TASKS",
    "Labels",
    "MultiLabel",
    "Outputs",
    "Regression",
    "SingleLabel",
    "Task",
    "Unlabeled",
    "by_class",
    "class_score",
    "find_task",
    "is_missing",
    "mixed_labels",
    "mixed_mask",
    "read_label_columns",
    "read_labels",
    "scores_by_class",
    "scores_of",
    "task_of",
]


@dataclass(frozen=True)
class Unlabeled(Task):
    """No labels: the student learns from its teacher alone."""

    name = "none"

    def read_labels(self, values: Any, **options: Any) -> Labels:
        """Refused: labels are left out by `data.label: false`."""
        raise DataError("task none reads no labels; say so with data.label: false")

    def placeholder(self, n: int, k: int) -> Tensor:
        """Classes, so that the student's own step can be measured."""
        return torch.arange(n) % k


UNLABELED = Unlabeled()

TASKS: dict[str, Task] = {
    each.name: each for each in (SingleLabel(), MultiLabel(), Regression(), UNLABELED)
}
"""Every task by name."""


DIRECTIONS: dict[str, bool] = {
    name: higher for task in TASKS.values() for name, higher in task.higher_is_better.items()
}
"""Every score by name, and whether higher is better."""


def find_task(name: str) -> Task:
    """The task of that name, with its default parameters.

    Raises:
        RecipeError: there is none.
    """
    if name not in TASKS:
        raise RecipeError(f"no task {name!r}: {suggest(name, TASKS)}")
    return TASKS[name]


def task_of(labels: Any) -> Task:
    """The classification that labels of this shape are for: `[n]`, `[n, k]`, or None."""
    if labels is None:
        return UNLABELED
    return TASKS["single" if labels.ndim == 1 else "multi"]


def read_labels(
    values: Any,
    *,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    sets: bool = False,
    task: Task | None = None,
    source: str = "",
) -> Labels:
    """Read one column of labels.

    A label that is None, NaN (also as text) or blank is missing, so is −1 of classes: the example
    is unlabeled. Texts of whole numbers (`3`, `3.0`) are class numbers or are sorted as numbers.

    Args:
        values: `n` class numbers, or `n` class names, or `n` rows of `k` numbers (1 yes, 0 no;
            of a share between, above ½ is yes, below ½ no, ½ itself unknown, as OpenMIC-2018 has
            it), or `n` lists of the class names or numbers that apply; or what `task` reads.
        names: the class names as the source's schema gives them, in the order of the numbers.
        classes: the class names as the user wants them numbered; None: as in the source, or
            sorted where the source gives names only. Names that are numbers are these numbers.
        sets: the rows are lists of class numbers, not 0/1.
        task: what the labels are for; None: floating-point numbers that are not whole are targets
            of a regression, rows are several classes, all else is one class an example.
        source: what to call where they are from in messages.

    Returns:
        The labels as their task has them.

    Raises:
        DataError: a label is unknown or out of range; or rows are probabilities of one class, and
            no task is named.
    """
    wanted = None if classes is None else tuple(str(name) for name in classes)
    schema = None if names is None else tuple(names)
    try:
        if wanted is not None and len(set(wanted)) < len(wanted):
            raise DataError(f"a class stands twice in classes: {', '.join(wanted)}")
        if isinstance(values, str) or not getattr(values, "shape", hasattr(values, "__len__")):
            raise DataError(f"labels are {values!r}; expected one for each example")
        if hasattr(values, "to_numpy"):
            values = values.to_numpy()  # of pandas
        if getattr(getattr(values, "dtype", None), "kind", "O") not in "biufOUT":
            raise DataError(f"labels are {values.dtype}; expected numbers or names")
        if getattr(values, "ndim", 1) > 2 or 0 in getattr(values, "shape", (1,))[1:]:
            raise DataError(f"labels have shape {list(values.shape)}; expected [n] or [n, classes]")
        given, task = task, task or detected(values)
        labels = task.read_labels(values, names=schema, classes=wanted, sets=sets)
    except DataError as error:
        raise DataError(f"{source}: {error}" if source else f"{error}") from None
    if given is None and task.name == "multi" and has_one_class_each(labels):
        note = (
            "each example has exactly one class, and rows of labels are read as several classes: "
            "give class numbers or names to learn one class an example"
        )
        labels = replace(labels, notes=(*labels.notes, note))
    return labels


def read_label_columns(
    columns: Sequence[Sequence[Any]],
    *,
    classes: Sequence[str],
    task: Task | None = None,
    source: str = "",
) -> Labels:
    """Read several columns of labels, of a class or a target each; else as `read_labels`.

    Raises:
        DataError: a cell is no number.
    """
    if task is None or task.outputs == "label logits":
        try:
            columns = columns_of_numbers(columns)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None
    else:
        columns = list(zip(*columns, strict=True))
    return read_labels(columns, classes=classes, task=task, source=source)


def has_one_class_each(labels: Labels) -> bool:
    """Whether each example of which anything is known has one class of several."""
    if labels.values is None or labels.values.ndim < 2 or labels.values.shape[1] < 2:
        return False
    known = slice(None) if labels.known is None else labels.known
    return bool((labels.values[known].sum(1) == 1).all())


def detected(values: Any) -> Task:
    """The task of a column of labels, where the recipe names none.

    Raises:
        DataError: they may be classes or numbers, or are probabilities.
    """
    if holds_rows(values):
        if are_probabilities(values):
            raise DataError(
                "each row of labels has shares of one whole, as probabilities of one class an "
                "example have; give each example's class, such as the likeliest, or say "
                "data.task: multi to read shares above ½ as yes"
            )
        return TASKS["multi"]
    column = numbers_of(values)
    if column is None:
        text = text_of_a_fraction(values)
        if text is not None:
            raise DataError(
                f"the labels are texts of numbers, such as {text!r}; say data.task: regression to "
                "learn the numbers, or data.task: single to take them as names of classes"
            )
        return TASKS["single"]
    known = column[~np.isnan(column)] if column.dtype.kind == "f" else column[:0]
    if np.isfinite(known).all() and (known % 1 != 0).any():
        return TASKS["regression"]
    return TASKS["single"]


def text_of_a_fraction(values: Any) -> str | None:
    """The first label that is no whole number, where all are texts of numbers; else None."""
    known = [value for value in values if not is_missing(value)]
    try:
        numbers = [float(value) if isinstance(value, str) else float("nan") for value in known]
    except ValueError:
        return None
    fractions = (v for v, number in zip(known, numbers, strict=True) if number % 1 != 0)
    return next(fractions, None)
