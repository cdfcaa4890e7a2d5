"""What is compared: each representation builds a student's side and a teacher's side for a pair."""

from __future__ import annotations

from collections.abc import Callable

from mentee.represent.compress import Compressed, compress, probe
from mentee.represent.compressed_logits import CompressedLogits, compressed_logits
from mentee.represent.heads import to_teacher
from mentee.represent.project import project
from mentee.represent.reduce import pca, random_projection
from mentee.represent.side import Known, Shape, Side, TaskLoss, as_is
from mentee.represent.standardise import standardised
from mentee.represent.unit import unit
from mentee.represent.vectors import frames, vectors

__all__ = [
    "REPRESENTATIONS",
    "Compressed",
    "CompressedLogits",
    "Known",
    "Shape",
    "Side",
    "TaskLoss",
    "as_is",
    "compress",
    "compressed_logits",
    "frames",
    "pca",
    "probe",
    "project",
    "random_projection",
    "standardised",
    "to_teacher",
    "unit",
    "vectors",
]

REPRESENTATIONS: dict[str, Callable[..., tuple[Side, Side]]] = {
    "as_is": as_is,
    "standardised": standardised,
    "project": project,
    "vectors": vectors,
    "frames": frames,
    "to_teacher": to_teacher,
    "compress": compress,
    "compressed_logits": compressed_logits,
    "probe": probe,
    "pca": pca,
    "random": random_projection,
}
"""Every representation by name: `(student shape, teacher shape, **numbers) -> (Side, Side)`.

One that needs to know more of a pair than its shapes takes `known`, which the engine passes. One
that reads what another term's side makes takes `beside`, the teacher's sides of the method's other
terms at the same place of the teacher, and is built after them.
"""
