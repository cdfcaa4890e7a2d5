"""What a student is trained to predict, one object per kind of label: `TASKS`.

Whatever depends on the kind of label asks the examples' task: how labels are read and split, the
loss, the scores and their direction, what is kept of predictions, how an embedding is probed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mentee.errors import DataError, RecipeError, suggest
from mentee.tasks.classification import MultiLabel, SingleLabel
from mentee.tasks.label_columns import holds_rows
from mentee.tasks.mixed_labels import by_class, mixed_labels, mixed_mask
from mentee.tasks.regression import Regression
from mentee.tasks.task import OUTPUTS, Labels, Outputs, Task, Unlabeled

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
    "find_task",
    "mixed_labels",
    "mixed_mask",
    "read_labels",
    "task_of",
]

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
) -> Labels:
    """Read one column of labels.

    Args:
        values: `n` class numbers, or `n` class names, or `n` rows of `k` numbers (1 yes, 0 no,
            -1 or NaN unknown; of a share between, above ½ is yes, below ½ no, ½ itself unknown,
            as OpenMIC-2018 has it), or `n` lists of the class names or numbers that apply; or
            what `task` reads.
        names: the class names as the source's schema gives them, in the order of the numbers.
        classes: the class names as the user wants them numbered; None: as in the source, or
            sorted where the source gives names only.
        sets: the rows are lists of class numbers, not 0/1.
        task: what the labels are for; None: floating-point numbers that are not whole are targets
            of a regression, rows are several classes, all else is one class an example.

    Returns:
        The labels as their task has them.

    Raises:
        DataError: a label is missing, unknown or out of range.
    """
    wanted = None if classes is None else tuple(str(name) for name in classes)
    if wanted is not None and len(set(wanted)) < len(wanted):
        raise DataError(f"a class stands twice in classes: {', '.join(wanted)}")
    schema = None if names is None else tuple(names)
    return (task or detected(values)).read_labels(values, names=schema, classes=wanted, sets=sets)


def detected(values: Any) -> Task:
    """The task of a column of labels, where the recipe names none.

    Raises:
        DataError: they may be classes or numbers.
    """
    if holds_rows(values):
        return TASKS["multi"]
    if texts_of_numbers(values):
        raise DataError(
            f"the labels are texts of numbers, such as {values[0]!r}; say data.task: regression to "
            "learn the numbers, or data.task: single to take them as names of classes"
        )
    column = np.asarray(values)
    if column.dtype.kind == "f" and np.isfinite(column).all() and (column % 1 != 0).any():
        return TASKS["regression"]
    return TASKS["single"]


def texts_of_numbers(values: Any) -> bool:
    """Whether all labels are texts of numbers, and one of them has a point or an exponent."""
    if not len(values) or not all(isinstance(value, str) for value in values):
        return False
    try:
        [float(value) for value in values]
    except ValueError:
        return False
    return not all(value.strip().lstrip("+-").isdigit() for value in values)
