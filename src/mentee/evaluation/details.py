"""What stands beside the scores of a set: how many examples, an interval, each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.data import Examples
from mentee.data.counter_rng import below
from mentee.errors import DataError, first_few
from mentee.metrics import confusion, jackknife_interval, scores_without_groups, wilson_interval
from mentee.metrics.jackknife import GROUPS
from mentee.recipe import Select
from mentee.tasks import Labels, scores_by_class, scores_of

LISTED = 5
"""The most classes that a sentence names."""
CONFUSED = 50
"""The most classes whose confusions are written into `summary.json`."""
MANY = 20_000_000
"""The most outputs of which a score is computed 20 times, for its interval."""


def known_outputs(outputs: Tensor, examples: Examples) -> tuple[Tensor, Labels]:
    """The outputs of the examples that have labels, and these."""
    labels = examples.known_labels
    if examples.labeled is None:
        return outputs, labels
    return outputs[torch.as_tensor(examples.labeled)], labels


def score_outputs(outputs: Tensor, examples: Examples, select: Select) -> dict[str, float]:
    """The scores of a network's outputs; none for examples without labels.

    Raises:
        DataError: no class of several has both kinds of examples.
    """
    if examples.labels is None:
        return {}
    known, labels = known_outputs(outputs, examples)
    return scores_of(known, labels, threshold=select.threshold, by=select.by)


def score_details(outputs: Tensor, examples: Examples, select: Select) -> dict[str, Any] | None:
    """What stands beside the scores, as an entry of `details` in `summary.json`.

    Returns:
        `examples` (with labels), `interval` (95 %, of the main score), `majority` (the accuracy of
        always predicting the most frequent class), `classes` (the scores of each), `confusion`
        (counts by true class, then by predicted class; of few classes); None without labels.
    """
    if examples.labels is None:
        return None
    known, labels = known_outputs(outputs, examples)
    task, values = examples.task, torch.as_tensor(labels.values)
    single = task.outputs == "class logits" and values.ndim == 1
    few = single and known.shape[1] <= CONFUSED
    return {
        "examples": len(known),
        "interval": interval(known, examples, labels, select),
        "majority": task.majority(values),
        "classes": scores_by_class(known, labels, select.threshold),
        "confusion": confusion(known, values).tolist() if few else None,
    }


def interval(
    outputs: Tensor, examples: Examples, labels: Labels, select: Select
) -> dict[str, Any] | None:
    """The 95 % interval of the score that chooses, over examples: `score`, `low`, `high`.

    Of an accuracy Wilson's; of any other score by the jackknife over 20 groups of examples.
    """
    by = select.by if select.by is not None and select.by != "knn" else examples.task.main_score
    scores = scores_of(outputs, labels, threshold=select.threshold, by=by)
    if by is None or by not in scores:
        return None
    if by == "accuracy":
        low, high = wilson_interval(scores[by], len(outputs))
        return {"score": by, "low": low, "high": high}
    if outputs.numel() > MANY or len(outputs) < 2 * GROUPS:
        return None
    values, mask = np.asarray(labels.values), labels.mask

    def score(rows: Any) -> float:
        some = Labels(
            values[rows], None if mask is None else mask[rows], labels.classes, labels.task
        )
        return scores_of(outputs[torch.as_tensor(rows)], some, threshold=select.threshold, by=by)[
            by
        ]

    rows = slice(None) if examples.labeled is None else np.flatnonzero(examples.labeled)
    groups = below(GROUPS, 0, examples.keys[rows], "interval")
    try:
        left_out = scores_without_groups(score, groups)
    except (DataError, KeyError):  # without a group there may be no example of a class
        return None
    low, high = jackknife_interval(left_out, scores[by])
    return {"score": by, "low": low, "high": high}


def class_notes(part: str, details: Mapping[str, Any] | None, *, advice: bool = True) -> list[str]:
    """A sentence on the classes that have examples and are never predicted, where there are any."""
    classes = (details or {}).get("classes") or {}
    never = {
        name: each.get("positive", each["examples"])
        for name, each in classes.items()
        if each.get("predicted") == 0 and each.get("positive", each["examples"])
    }
    if not never:
        return []
    names = [f"{name} ({count:,} examples)" for name, count in never.items()]
    count = "a class is" if len(names) == 1 else f"{len(names)} classes are"
    help = "; train.class_weights: balanced may help" if advice else ""
    return [f"{part}: {count} never predicted: {first_few(names, LISTED)}{help}"]
