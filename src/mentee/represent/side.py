"""The two parts of a representation, and the one that has no parts."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor, nn

Shape: TypeAlias = tuple[int, ...]
"""What is read at a place, without the batch: `(c, h, w)`, `(t, d)` or `(d,)`."""


class Side(nn.Module):
    """One side (student's or teacher's) of a representation.

    `fixed` has no parameters: for a frozen teacher its output can be computed once and kept.
    `forward` goes on from there and may be trained.
    """

    def fixed(self, features: Tensor) -> Tensor:
        """The part without parameters, from what was read at the place."""
        return features

    def forward(self, fixed: Tensor) -> Tensor:
        """The part that may be trained, from what `fixed` gave."""
        return fixed


def as_is(student: Shape, teacher: Shape) -> tuple[Side, Side]:
    """What is read is what is compared.

    Args:
        student: what is read in the student, without the batch.
        teacher: the same of the teacher.

    Returns:
        The student's side and the teacher's.
    """
    return Side(), Side()
