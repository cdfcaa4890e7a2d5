"""Projection heads: a pooled feature through a trained layer to a unit vector, for `contrast`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError, PairError
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.normalization import unit_norm

LARGEST_GRID = 4
WIDEST = 65_536
"""Entries of a unit vector, or rows of a grid."""


def project(
    student: Shape,
    teacher: Shape,
    *,
    width: int = 128,
    head: Literal["linear", "mlp"] = "linear",
    grid: int | None = None,
    batch_axis: bool = False,
) -> tuple[Adapter, Adapter]:
    r"""Pool, flatten, a head for each network, unit length.

    .. math:: g = \mathrm{unit}(W \, \mathrm{flatten}(\mathrm{pool}(f)) + b)

    The pooling is precomputed; the heads are trained with the student and dropped at export.
    Maps `[b, c, h, w]` are averaged over a `grid` × `grid`; tokens `[b, t, d]` over t; vectors
    `[b, d]` are taken as they are. The two networks may differ in width, resolution and layout.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)`, `(t, d)` or `(d,)`.
        teacher: shape of the teacher's feature.
        width: entries of the unit vector.
        head: `linear`, or `mlp` (linear, ReLU, linear; the hidden layer as wide as the input).
        grid: cells a side; None: one for every 8 pixels, at least 1, at most 4
            (32×32 → 4×4, 16×16 → 2×2, 8×8 → 1×1, as CKTF does on CIFAR).
        batch_axis: as CKTF's code has it, each entry of a map is first divided by its norm over
            the batch, and a narrower student is padded with zero channels to the teacher's. An
            example's representation then depends on its batch, and its slope is not bounded where
            an entry is near zero throughout (1e12, as published); only for exact reproduction.

    Returns:
        The student's adapter and the teacher's.

    Raises:
        MenteeError: `width` or `grid` is below 1.
        PairError: `batch_axis` where the maps differ in resolution, or the student is the wider.

    Memory: O(b d). Source: arXiv:1910.10699 (heads), arXiv:2303.07599 (stages).
    """
    for name, number in (("width", width), ("grid", grid)):
        if number is not None and not 1 <= number <= WIDEST:
            raise MenteeError(
                f"project: {name} is {number}, expected at least 1 and at most {WIDEST:,}"
            )
    if batch_axis and len(student) == 3:
        if student[1:] != teacher[1:] or student[0] > teacher[0]:
            raise PairError(
                f"project: batch_axis pads {tuple(student)} to {tuple(teacher)}, which needs equal "
                "resolution and no more student channels; leave batch_axis off (heads need neither)"
            )
        student_to = teacher[0]
    else:
        student_to = None
    return (
        Projection(student, width, head, grid, batch_axis, student_to),
        Projection(teacher, width, head, grid, batch_axis, None),
    )


class Projection(Adapter):
    """The adapter of `project`, of student or teacher."""

    def __init__(
        self,
        shape: Shape,
        width: int,
        head: str,
        grid: int | None,
        batch_axis: bool,
        channels: int | None,
    ) -> None:
        super().__init__()
        self.grid = cells(shape[1:], grid) if len(shape) == 3 else None
        self.is_tokens = len(shape) == 2
        self.batch_axis, self.channels = batch_axis, channels
        inputs = self.precompute(torch.zeros(1, *shape)).shape[1]
        self.head = (
            nn.Linear(inputs, width)
            if head == "linear"
            else nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, width))
        )

    @property
    def reduction(self) -> str | None:
        """The mean of each cell; of a vector nothing."""
        if self.batch_axis and self.grid is not None:
            return None
        if self.grid is None:
            return "mean" if self.is_tokens else ""
        return "mean" if self.grid == (1, 1) else f"{self.grid[0]}x{self.grid[1]} cells"

    def precompute(self, features: Tensor) -> Tensor:
        """Pool and flatten, `[b, d]`."""
        if features.ndim == 3:
            return features.mean(1)
        if features.ndim == 2 or self.grid is None:
            return features
        if self.batch_axis:
            features = F.normalize(features, dim=0)
        if self.channels is not None:
            features = pad_channels(features, self.channels)
        return pool(features, self.grid).flatten(1)

    def forward(self, precomputed: Tensor) -> Tensor:
        """The head's unit vector, `[b, width]`."""
        return unit_norm(self.head(precomputed))


def cells(size: Sequence[int], grid: int | None) -> tuple[int, int]:
    """How many cells a map of `size` pixels is averaged to: one for every 8 pixels, 1 to 4.

    Example:
        >>> cells((32, 32), None), cells((7, 7), None), cells((112, 56), None), cells((8, 8), 2)
        ((4, 4), (1, 1), (4, 4), (2, 2))
    """
    if grid is not None:
        return min(grid, size[0]), min(grid, size[1])
    height, width = (min(max(side // 8, 1), LARGEST_GRID) for side in size)
    return height, width


def pool(x: Float[Tensor, "b c h w"], grid: tuple[int, int]) -> Float[Tensor, "b c i j"]:
    """The mean of each cell of a grid.

    Example:
        >>> pool(torch.arange(16.0).view(1, 1, 4, 4), (2, 2)).flatten().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """
    (b, c, height, width), (rows, columns) = x.shape, grid
    if height % rows or width % columns:
        return F.adaptive_avg_pool2d(x, grid)
    size = height // rows, width // columns
    if not x.is_contiguous(memory_format=torch.channels_last):
        return F.avg_pool2d(x, size)
    # Two sums over lines that lie together: half the time of avg_pool2d, most of it in the backward
    lines = x.permute(0, 2, 3, 1).reshape(b * rows, size[0], width * c).sum(1)
    cells = lines.view(b * rows * columns, size[1], c).sum(1).view(b, rows, columns, c)
    return cells.permute(0, 3, 1, 2) / (size[0] * size[1])


def pad_channels(x: Float[Tensor, "b c h w"], channels: int) -> Float[Tensor, "b c2 h w"]:
    """Zero channels on both sides, as evenly as they go (the odd one behind).

    Example:
        >>> pad_channels(torch.ones(1, 2, 1, 1), 5).flatten().tolist()
        [0.0, 1.0, 1.0, 0.0, 0.0]
    """
    missing = channels - x.shape[1]
    return F.pad(x, (0, 0, 0, 0, missing // 2, missing - missing // 2))
