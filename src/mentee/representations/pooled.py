"""Vectors without heads: pooled over an example, or one for each time frame."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mentee.errors import PairError
from mentee.representations.adapter import Adapter, PairInfo, Shape
from mentee.types import Statistics

SMALLEST_STD = 1e-4
"""A deviation below this share of the largest is that of an entry that does not vary."""


def pooled(
    student: Shape,
    teacher: Shape,
    *,
    pair_info: PairInfo,
    scale: Literal["none", "center", "standard"] = "none",
) -> tuple[Adapter, Adapter]:
    r"""The features averaged to one vector; the teacher's may be centered or standardized.

    .. math:: v^t = (f^t - \mu) / \sigma

    with mean and deviation of each entry over the training examples; an entry that hardly changes
    there is not divided. Losses that shifts do not change (distance correlation, CKA) need no
    centering; the cosine does.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)`, `(t, d)` or `(d,)`.
        teacher: shape of the teacher's feature.
        pair_info: has the statistics, where `scale` needs them.
        scale: `none`; `center`: minus the mean; `standard`: and divided by the deviation.

    Returns:
        The student's adapter and the teacher's; the widths are those of the two networks.

    Raises:
        PairError: statistics are needed and there are none.

    Memory: O(b d). Source: arXiv:2306.17424 (its constants for each teacher, measured instead).
    """
    statistics = None if scale == "none" else pair_info.measured(f"pooled with scale {scale}")
    return PooledVectors(student), PooledVectors(teacher, statistics, spread=scale == "standard")


class PooledVectors(Adapter):
    """The adapter of `pooled`, of student or teacher.

    Args:
        shape: of the feature, without the batch.
        statistics: whose mean is subtracted; None: nothing is.
        spread: divide by the deviations too.
    """

    def __init__(
        self, shape: Shape, statistics: Statistics | None = None, *, spread: bool = True
    ) -> None:
        super().__init__()
        self.is_vector = len(shape) == 1
        self.shifted = statistics is not None
        if statistics is not None:
            std, ones = statistics.std, torch.ones_like(statistics.std)
            varies = std > SMALLEST_STD * std.max()
            self.register_buffer("mean", statistics.mean.clone())
            self.register_buffer("scale", torch.where(varies, std, ones) if spread else ones)

    @property
    def reduction(self) -> str:
        """The mean over space or time; of a vector nothing."""
        return "" if self.is_vector else "mean"

    def precompute(self, features: Tensor) -> Tensor:
        """One vector an example, `[b, d]`."""
        return averaged(features)

    def forward(self, precomputed: Tensor) -> Tensor:
        """The same, centered and scaled where there are statistics."""
        return self.scaled(precomputed)

    def scaled(self, x: Tensor) -> Tensor:
        """Minus the mean, divided by the scale."""
        if not self.shifted:
            return x
        mean, scale = (self.get_buffer(name).to(x.dtype) for name in ("mean", "scale"))
        return (x - mean) / scale


def frames(
    student: Shape,
    teacher: Shape,
    *,
    student_repeat: int | None = None,
    teacher_repeat: int | None = None,
) -> tuple[Adapter, Adapter]:
    """A vector for each time frame, the slower side's frames repeated until the rates agree.

    Maps `[b, c, f, t]` are averaged over f. Then the frames of each are repeated by a whole factor
    and both are cut to the shorter.

    Args:
        student: shape of the student's feature, without the batch: `(c, f, t)` or `(t, d)`.
        teacher: shape of the teacher's feature.
        student_repeat: how often each of the student's frames is repeated; None: as brings
            the two closest, 1 where the student has more frames.
        teacher_repeat: the same for the teacher.

    Returns:
        The student's adapter and the teacher's, `[b, t, d]` each, of one t.

    Raises:
        PairError: a feature has no time axis, or a factor is below 1.

    Memory: O(b t d). Source: arXiv:2306.17424.

    Example:
        >>> s, t = frames((16, 8, 10), (3, 32))
        >>> s(s.precompute(torch.zeros(2, 16, 8, 10))).shape
        torch.Size([2, 9, 16])
        >>> t(t.precompute(torch.zeros(2, 3, 32))).shape
        torch.Size([2, 9, 32])
    """
    counts = []
    for side, shape in (("student", student), ("teacher", teacher)):
        if len(shape) == 1:
            raise PairError(
                f"frames: the {side}'s feature is one vector of {shape[0]}, which has no time "
                "frames; read a stage of the student and a record made with --frames, or use "
                "pooled"
            )
        counts.append(shape[-1] if len(shape) == 3 else shape[0])
    student_count, teacher_count = counts
    repeats = (
        student_repeat or max(round(teacher_count / student_count), 1),
        teacher_repeat or max(round(student_count / teacher_count), 1),
    )
    if min(repeats) < 1:
        raise PairError(f"frames: the factors are {repeats}, expected at least 1 each")
    length = min(student_count * repeats[0], teacher_count * repeats[1])
    return Frames(student, repeats[0], length), Frames(teacher, repeats[1], length)


class Frames(Adapter):
    """The adapter of `frames`, of student or teacher.

    Args:
        shape: of the feature, without the batch.
        repeat: how often each frame is repeated.
        length: frames of the output.
    """

    def __init__(self, shape: Shape, repeat: int, length: int) -> None:
        super().__init__()
        self.is_map, self.repeat, self.length = len(shape) == 3, repeat, length

    @property
    def reduction(self) -> str:
        """The mean over the frequencies of maps; of frames nothing."""
        return "mean of rows" if self.is_map else ""

    def precompute(self, features: Tensor) -> Tensor:
        """One vector a frame, `[b, t, d]`."""
        return features.mean(2).transpose(1, 2) if features.ndim == 4 else features

    def forward(self, precomputed: Tensor) -> Tensor:
        """Repeated and cut, `[b, length, d]`."""
        return precomputed.repeat_interleave(self.repeat, dim=1)[:, : self.length]


def readers(student: Shape, teacher: Shape, per_frame: bool) -> tuple[Adapter, Adapter]:
    """Adapters without parameters before a head: one vector an example, or one a frame."""
    return (
        frames(student, teacher) if per_frame else (PooledVectors(student), PooledVectors(teacher))
    )


def averaged(x: Tensor) -> Float[Tensor, "b d"]:
    """Maps averaged over height and width, tokens and frames over t, vectors as they are.

    Example:
        >>> averaged(torch.ones(2, 3, 4, 4)).shape, averaged(torch.ones(2, 7, 5)).shape
        (torch.Size([2, 3]), torch.Size([2, 5]))
    """
    if x.ndim == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.ndim == 3 else x
