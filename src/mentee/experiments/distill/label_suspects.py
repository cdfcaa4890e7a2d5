"""Labels that may be wrong: of examples that the teacher is sure to be of another class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.build.setup import TrainingSetup
from mentee.data.counter_rng import below
from mentee.evaluation.monitor import FOLDS, held_out_outputs
from mentee.metrics import Labeled
from mentee.representations.pooled import averaged
from mentee.teachers import RecordedTeacher
from mentee.teachers.recorded import named

NETWORK, CLASSIFIER = (0.9, 0.05), (0.8, 0.1)
"""By these a label is suspect where another class has the first probability at least, and the label
the second at most. A classifier that has seen wrong labels is less sure."""
MOST = 10_000
"""Training examples whose labels are looked at."""
NAMED = 10


def label_suspects(setup: TrainingSetup) -> dict[str, Any] | None:
    """The training examples whose labels a recorded teacher contradicts, surely.

    A network of the data's classes says so by its logits. Of embeddings a classifier does that is
    fitted on four fifths of the examples, of which the one in question is none.

    Args:
        setup: of a run that reads the teacher's record.

    Returns:
        `by` what, `ids`, `of` how many examples, and the `accuracy` of what judges on these; None:
        an example has not one class, or nothing of it is recorded.
    """
    recorded, whole = setup.kind.records(setup.teacher), setup.splits.train
    if not recorded or setup.online_teachers or whole.task.outputs != "class logits":
        return None
    rows = np.flatnonzero(np.ones(len(whole)) if whole.labeled is None else whole.labeled)
    rows = rows[:: max(1, -(-len(rows) // MOST))]
    examples, k = whole.take(rows), setup.splits.classes
    columns = [columns_of(each) for each in recorded]
    is_network = len(columns) == 1 and columns[0].get("logits") == (k,)
    features = [
        averaged(vectors)
        for each, own in zip(recorded, columns, strict=True)
        for vectors in each.clean_rows(
            torch.as_tensor(rows),
            ["logits"] if is_network else [n for n in own if n.startswith("embedding")],
        ).values()
    ]
    if not features:
        return None
    labels = torch.as_tensor(examples.labels)
    if is_network:
        logits = features[0]
    else:
        vectors = Labeled(torch.cat(features, 1), labels)
        folds = below(FOLDS, 0, examples.keys, "label suspects")
        logits = held_out_outputs(examples.task, vectors, k, folds)
        logits[labels.bincount(minlength=k)[labels] < FOLDS] = 0  # of such classes nothing is known
    by = "the teacher" if is_network else "a classifier on the embeddings"
    probabilities = logits.float().softmax(1)
    thresholds = NETWORK if is_network else CLASSIFIER
    wrong = suspects(probabilities, labels, *thresholds).tolist()
    ids, right = [examples.ids[row] for row in wrong], logits.argmax(1) == labels
    return {"by": by, "ids": ids, "of": len(examples), "accuracy": float(right.double().mean())}


def columns_of(teacher: RecordedTeacher) -> dict[str, tuple[int, ...]]:
    """The shapes of what is recorded, by name."""
    records = teacher.records.items()
    return {named(c.name, name): c.shape for name, record in records for c in record.columns}


def suspects(probabilities: Tensor, labels: Tensor, sure: float, unlikely: float) -> Tensor:
    """The rows `[m]` of probabilities `[n, k]` that contradict their labels `[n]` surely.

    Another class has the probability `sure` at least, and the label `unlikely` at most.

    Example:
        >>> probabilities = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4]])
        >>> suspects(probabilities, torch.tensor([0, 1, 1]), 0.9, 0.05)
        tensor([1])
    """
    own = probabilities.gather(1, labels[:, None])[:, 0]
    return torch.nonzero((probabilities.amax(1) >= sure) & (own <= unlikely))[:, 0]


def suspects_line(result: Mapping[str, Any] | None) -> str:
    """A sentence with the first of them; empty: there are none."""
    if not result or not result["ids"]:
        return ""
    some, right = ", ".join(result["ids"][:NAMED]), f"{result['accuracy']:.2f}"
    return (
        f"{len(result['ids']):,} of {result['of']:,} training labels are suspect: {result['by']} "
        f"(accuracy {right} there) is sure of another class ({some}); look at them, nothing was "
        "changed"
    )
