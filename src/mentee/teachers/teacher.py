"""What every teacher is to the rest: called with a batch, it says features at its places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mentee.types import Batch, Features, Statistics


@runtime_checkable
class FeatureSpec(Protocol):
    """A place of a teacher, with what is read there of one example."""

    @property
    def name(self) -> str:
        """What a method calls it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch."""
        ...


@runtime_checkable
class Teacher(Protocol):
    """A frozen network, or what one said once and for all."""

    @property
    def places(self) -> Sequence[FeatureSpec]:
        """Where it can be read."""
        ...

    def __call__(self, batch: Batch) -> Features:
        """What it says of a batch at each of its places; constants."""
        ...

    def statistics(self, place: str) -> Statistics:
        """How its vectors at a place are distributed over the training examples."""
        ...

    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with anything it might say."""
        ...
