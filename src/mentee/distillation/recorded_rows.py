"""The teacher's side of a term from its features, or from a record of all training examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from mentee.distillation.terms import BoundTerm, at_least_float
from mentee.errors import MenteeError, PairError
from mentee.representations import Adapter
from mentee.types import FeatureKey, Features, on_device

CleanRows: TypeAlias = Callable[[Tensor, Sequence[str]], Features]
"""`(training examples, columns) -> features`: those columns that a record has, clean."""


def precomputed(key: FeatureKey, adapter: Adapter, teacher: Features) -> Tensor:
    """The parameter-free part of a term's teacher side, which may be among the features."""
    column = None if adapter.reduction is None else str(key.reduced(adapter.reduction))
    if column in teacher:
        return teacher[column]
    return adapter.precompute(key.select(teacher))  # type: ignore[no-any-return]


@torch.no_grad()
def read(
    sides: Mapping[str, tuple[FeatureKey, Adapter]],
    clean_rows: CleanRows | None,
    device: torch.device | str,
    name: str,
    rows: Tensor,
) -> Tensor:
    """The teacher's side of a term for some training examples, clean, `[m, d]`.

    Args:
        sides: what each term reads of the teacher, and its adapter there.
        clean_rows: reads the record.
        device: where the adapters are.
        name: of the term.
        rows: where the examples stand in the training set, `[m]`, on the CPU.

    Raises:
        MenteeError: there is no record.
    """
    if clean_rows is None:
        raise MenteeError(
            f"{name} has the memory record, and there is nothing to read it from; pass "
            "clean_rows= of a RecordedTeacher"
        )
    key, adapter = sides[name]
    columns = [str(key.reduced(adapter.reduction or "")), *key.layers]
    features = {k: on_device(x, device) for k, x in clean_rows(rows, columns).items()}
    return at_least_float(adapter(precomputed(key, adapter, features)))


def check_constant(bound: BoundTerm, teacher: Adapter) -> None:
    """Refuse a memory of recorded rows where the teacher's side changes, or both sides are read.

    Raises:
        PairError: something is trained there, it depends on the batch, or the loss contrasts the
            teacher's vectors with rows of the student too.
    """
    if bound.term.memory is None or bound.term.memory.name != "record":
        return
    if any(True for _ in teacher.parameters()) or teacher.reduction is None:
        raise PairError(
            f"{bound.name}: rows of a record are constants, and the teacher's side of the "
            "representation is trained or depends on the batch; take one that is fixed there: unit "
            "of to_teacher, of pca or of random (with a student_head)"
        )
    if "log_z" in bound.spec.needs:
        raise PairError(
            f"{bound.name}: a record has no rows of the student, which this loss reads; take "
            "info_nce, or the memory bank"
        )
