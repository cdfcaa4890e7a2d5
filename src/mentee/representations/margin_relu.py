"""The teacher's map cut below at a margin: how far a unit that does not fire is below matters not.

The margin is the mean of a channel's negative entries, as the published code derives it from the
batch norm before the ReLU; here it is measured while the student trains, so that any place will do.
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
    r"""The student's map regressed to the teacher's, and that cut below at its margin.

    .. math:: s = W f^s + b, \quad t_c = \max(f^t_c, m_c), \quad m_c = E[f^t_c \mid f^t_c < 0]

    Read the teacher before a ReLU, where it has such a place; behind one nothing is negative, and
    the margin is 0.

    Args:
        student: what is read in the student, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: the same of the teacher.

    Returns:
        The student's side and the teacher's, `[b, c, h, w]` of the teacher's c.

    Raises:
        PairError: as for `feature_maps`.

    Memory: O(b c h w). Source: Heo et al. 2019 (arXiv:1904.01866).
    """
    ours, theirs = grids("margin_relu", student, teacher)
    size = coarser(ours, theirs)
    head = nn.Conv2d(ours.channels, theirs.channels, 1)
    return HeadAdapter(FeatureMaps(ours, size), head), Cut(theirs, size)


class Cut(FeatureMaps):
    """The teacher's side of `margin_relu`; holds the running mean of each channel's negatives."""

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
        """Take the batch's negatives into the mean."""
        wide = x.to(self.mean.dtype)
        mine = torch.stack([(wide < 0).to(wide).sum((0, 2, 3)), wide.clamp(max=0).sum((0, 2, 3))])
        found, total = gather(mine[None]).sum(0)  # of all processes' examples
        share = found / (self.count + found).clamp(min=1)
        self.mean.lerp_(total / found.clamp(min=1), share)
        self.count.add_(found)
