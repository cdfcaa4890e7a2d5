"""What the agreements share that look at the vectors of a batch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError

SHORTEST = 1e-3


def full(x: Tensor) -> Tensor:
    """Half precision to float32, anything else as it is: sums and squares need at least that."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def unit(x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    r"""Vectors of length 1; one shorter than 1e-3 is divided by 1e-3, which bounds the slope.

    .. math:: u = x / \max(\lVert x \rVert, 10^{-3})

    Args:
        x: `[..., d]`, float32 or float64.

    Returns:
        `[..., d]`.

    Example:
        >>> [round(v, 6) for v in unit(torch.tensor([3.0, 4.0])).tolist()]
        [0.6, 0.8]
    """
    return x * x.square().sum(-1, keepdim=True).clamp(min=SHORTEST**2).rsqrt()


def by_frame(name: str, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """The batches to compare, one for each time frame: `[t, b, d]`, widths as they are.

    Args:
        name: of the agreement, for the message.
        student: `[b, d]` (one frame) or `[b, t, d]`.
        teacher: as the student's, of any width.

    Returns:
        (student's, teacher's), at least float32.

    Raises:
        MenteeError: other shapes, or not as many examples or frames.

    Example:
        >>> [tuple(x.shape) for x in by_frame("cka", torch.ones(4, 2), torch.ones(4, 3))]
        [(1, 4, 2), (1, 4, 3)]
    """
    if student.ndim not in (2, 3) or student.shape[:-1] != teacher.shape[:-1]:
        raise MenteeError(
            f"{name}: the student has shape {tuple(student.shape)}, the teacher "
            f"{tuple(teacher.shape)}; expected [b, d] or [b, t, d] with as many examples b and "
            "frames t; align or pool the frames first"
        )
    if student.ndim == 2:
        return full(student)[None], full(teacher)[None]
    return full(student).transpose(0, 1), full(teacher).transpose(0, 1)


def mean_of_pairs(x: Float[Tensor, "*t b b"]) -> Float[Tensor, "*t"]:
    """The mean of each matrix's entries."""
    return x.mean((-2, -1))


def check_alike(name: str, student: Tensor, teacher: Tensor) -> None:
    """Refuse tensors that cannot be compared entry by entry.

    Raises:
        MenteeError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise MenteeError(
            f"{name}: the student has shape {tuple(student.shape)}, the teacher "
            f"{tuple(teacher.shape)}; expected equal ones: use a representation with a head, "
            "such as project, or an agreement across widths, such as distance_correlation"
        )


def check_positive(name: str, number: str, value: float) -> None:
    """Refuse a number that is not above 0.

    Raises:
        MenteeError: it is not.
    """
    if not value > 0:
        raise MenteeError(f"{name}: {number} is {value}, expected a number above 0")
