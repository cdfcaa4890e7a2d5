"""Margin ReLU: the teacher's map clamped from below, so that no entry has to be very negative.

The margin is the mean of a channel's negative entries, as the published code derives it from the
batch norm before the ReLU; here it is measured while the student trains, so that any layer will do.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mentee.parallel import gather
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.feature_maps import FeatureMaps, Grid, coarser, grids
from mentee.representations.heads import HeadAdapter


def margin_relu(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    r"""The student's map regressed to the teacher's, and that clamped at its margin.

    .. math:: s = W f^s + b, \quad t_c = \max(f^t_c, m_c), \quad m_c = E[f^t_c \mid f^t_c < 0]

    Read the teacher before a ReLU, where it has such a layer; after one nothing is negative, and
    the margin is 0.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: shape of the teacher's feature.

    Returns:
        The student's adapter and the teacher's, `[b, c, h, w]` of the teacher's c.

    Raises:
        PairError: as for `feature_maps`.

    Memory: O(b c h w). Source: Heo et al. 2019 (arXiv:1904.01866).
    """
    s, t = grids("margin_relu", student, teacher)
    size = coarser(s, t)
    head = nn.Conv2d(s.channels, t.channels, 1)
    return HeadAdapter(FeatureMaps(s, size), head), MarginReLU(t, size)


class MarginReLU(FeatureMaps):
    """The teacher-side adapter of `margin_relu`; it tracks the mean of each channel's negatives."""

    mean: Tensor
    count: Tensor

    def __init__(self, grid: Grid, size: tuple[int, int]) -> None:
        super().__init__(grid, size)
        self.register_buffer("mean", torch.zeros(grid.channels))
        self.register_buffer("count", torch.zeros(grid.channels))

    def forward(self, precomputed: Tensor) -> Float[Tensor, "b c h w"]:
        """The map, nowhere below its channel's margin."""
        if self.training:
            self._measure(precomputed.detach())
        return torch.maximum(precomputed, self.mean.to(precomputed.dtype)[:, None, None])

    @torch.no_grad()
    def _measure(self, x: Tensor) -> None:
        """Update the mean with the batch's negative entries."""
        wide = x.to(self.mean.dtype)
        local = torch.stack([(wide < 0).to(wide).sum((0, 2, 3)), wide.clamp(max=0).sum((0, 2, 3))])
        count, total = gather(local[None]).sum(0)  # of all processes' examples
        share = count / (self.count + count).clamp(min=1)
        self.mean.lerp_(total / count.clamp(min=1), share)
        self.count.add_(count)
