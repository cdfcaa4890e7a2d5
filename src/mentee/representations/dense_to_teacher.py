"""The student's maps mapped into the teacher's space, position by position, for `info_nce`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.parallel import all_reduce_sum, world
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.feature_maps import FeatureMaps, at_most, coarser, grids
from mentee.representations.heads import UnitHead, channels
from mentee.representations.normalization import unit_positions
from mentee.representations.pooled import PooledVectors

SMALLEST = 1e-3
"""The least deviation of a channel, as a share of the largest; the least at all is its square."""


def dense_to_teacher(student: Shape, teacher: Shape, *, grid: int = 8) -> tuple[Adapter, Adapter]:
    r"""The student's map through a 1×1 convolution to the teacher's channels, unit length.

    .. math:: s_p = \mathrm{unit}(W f^s_p + b), \quad
              t_p = \mathrm{unit}((f^t_p - \mu) / \sigma)

    at each position p, with mean and deviation of each of the teacher's channels over the positions
    and examples of the training so far. Nothing is trained on the teacher's side, so the student
    cannot be met halfway. The finer map is averaged to the resolution of the coarser, and both to
    at most `grid` cells a side. Tokens `[t, d]` are positions; a vector has one, and what it meets
    is averaged.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)`, `(t, d)` or `(d,)`.
        teacher: shape of the teacher's feature.
        grid: most cells a side.

    Returns:
        The student's adapter and the teacher's: `[b, d, h, w]` of the teacher's d; `[b, d]` where
        one has a vector.

    Raises:
        MenteeError: `grid` is below 1.
        PairError: tokens meet a map, and make no square.

    Memory: O(b d h w). Source: the head of FitNets (Romero et al. 2015, arXiv:1412.6550) under the
    contrast of positions of DenseCL (Wang et al. 2021, arXiv:2011.09157).

    Example:
        >>> import torch
        >>> s, t = dense_to_teacher((16, 32, 32), (24, 4, 4))
        >>> s(s.precompute(torch.zeros(2, 16, 32, 32))).shape
        torch.Size([2, 24, 4, 4])
    """
    if grid < 1:
        raise MenteeError(f"dense_to_teacher: grid is {grid}, expected at least 1")
    if len(student) == 1 or len(teacher) == 1:
        head: nn.Module = nn.Linear(channels(student), channels(teacher))
        return UnitHead(PooledVectors(student), head), StandardUnit(
            PooledVectors(teacher), channels(teacher)
        )
    s, t = grids("dense_to_teacher", student, teacher)
    size = at_most(grid, coarser(s, t))
    head = nn.Conv2d(s.channels, t.channels, 1)
    return UnitHead(FeatureMaps(s, size), head), StandardUnit(FeatureMaps(t, size), t.channels)


class StandardUnit(Adapter):
    """The teacher's adapter of `dense_to_teacher`; it tracks mean and deviation of each channel.

    Args:
        reader: an adapter without parameters.
        width: d, channels.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, reader: Adapter, width: int) -> None:
        super().__init__()
        self.reader = reader
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @property
    def reduction(self) -> str | None:
        """The reader's."""
        return self.reader.reduction

    def precompute(self, features: Tensor) -> Tensor:
        """The reader's maps or vectors."""
        return self.reader.precompute(features)  # type: ignore[no-any-return]

    def forward(self, precomputed: Tensor) -> Float[Tensor, "b d *hw"]:
        """Standardized channels, of unit length at each position."""
        wide = precomputed.to(self.mean.dtype)
        if self.training:
            self._measure(wide.detach())
        scale = self.variance.clamp(min=self.variance.max() * SMALLEST**2 + SMALLEST**4).rsqrt()
        shape = (-1, *[1] * (wide.ndim - 2))
        standard = (wide - self.mean.view(shape)) * scale.view(shape)
        return unit_positions(standard).to(precomputed.dtype)

    @torch.no_grad()
    def _measure(self, x: Float[Tensor, "b d *hw"]) -> None:
        """Add the vectors of the batch, of all processes, to mean and variance (Chan et al.)."""
        vectors = x.movedim(1, -1).flatten(0, -2)
        count = len(vectors) * world()
        mean = all_reduce_sum(vectors.sum(0)) / count
        variance = all_reduce_sum((vectors - mean).square().sum(0)) / count
        share = count / (self.count + count).to(mean.dtype)
        gap = mean - self.mean
        self.variance.lerp_(variance, share).add_(share * (1 - share) * gap.square())
        self.mean.add_(share * gap)
        self.count.add_(count)
