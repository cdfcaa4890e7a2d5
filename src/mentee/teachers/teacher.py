"""The protocol of a teacher: called with a batch, it returns features at its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from mentee.types import Batch, Features, Statistics


@runtime_checkable
class FeatureSpec(Protocol):
    """The name of a layer and the shape of its output."""

    @property
    def name(self) -> str:
        """What a method calls it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example, without the batch."""
        ...


@runtime_checkable
class Teacher(Protocol):
    """A frozen network, or a record of one."""

    @property
    def layers(self) -> Sequence[FeatureSpec]:
        """Where it can be read."""
        ...

    def __call__(self, batch: Batch) -> Features:
        """The features of a batch at each of its layers; constants."""
        ...

    def statistics(self, layer: str) -> Statistics:
        """How its vectors at a layer are distributed over the training examples."""
        ...

    def clean_rows(self, rows: Tensor, columns: Sequence[str]) -> Features:
        """Those of the columns that are recorded of some training examples, clean."""
        ...

    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with anything it might return."""
        ...
