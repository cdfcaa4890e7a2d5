"""How many labels are known of each class, where some are not."""

from __future__ import annotations

import numpy as np

from mentee.tasks.task import Labels

SHOWN = 20
"""Classes that the line of counts names, those of the fewest labels first."""


def known_counts(labels: Labels) -> str | None:
    """How many labels are known of each class or target, in words; None: all are.

    Example:
        >>> table, known = np.float32([[1, 0], [0, 0]]), np.array([[True, False], [True, True]])
        >>> known_counts(Labels(table, known, ("cat", "dog")))
        'labels are known of dog 1, cat 2, of 2 examples'
    """
    if labels.mask is None or labels.values is None or labels.mask.all():
        return None
    counts, names = labels.mask.sum(0), labels.classes or ()
    yes = np.zeros(0)
    if labels.task is not None and labels.task.outputs == "label logits":
        yes = labels.values.sum(0)
    each = [
        f"{names[c]} {counts[c]:,}" + (f" ({int(yes[c]):,} yes)" if len(yes) else "")
        for c in np.argsort(counts, kind="stable")[:SHOWN]
    ]
    more = f", and {len(counts) - SHOWN} classes with more" if len(counts) > SHOWN else ""
    return f"labels are known of {', '.join(each)}{more}, of {len(labels.mask):,} examples"
