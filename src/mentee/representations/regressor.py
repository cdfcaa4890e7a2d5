"""The student's maps with the teacher's channels: convolutions that are dropped at export."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.feature_maps import FeatureMaps, coarser, grids
from mentee.representations.heads import HeadAdapter


def regressor(student: Shape, teacher: Shape, *, resize: bool = True) -> tuple[Adapter, Adapter]:
    r"""The student's map through a 1×1 convolution to the teacher's channels.

    .. math:: s = W f^s + b, \quad t = f^t

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: shape of the teacher's feature.
        resize: average the finer map to the resolution of the coarser; else both stay, for a loss
            that does not compare points.

    Returns:
        The student's adapter and the teacher's, `[b, c, h, w]` of the teacher's c.

    Raises:
        PairError: as for `feature_maps`.

    Memory: O(b c h w). Source: Romero et al. 2015 (arXiv:1412.6550).

    Example:
        >>> s, t = regressor((16, 8, 8), (24, 4, 4))
        >>> s(s.precompute(torch.zeros(2, 16, 8, 8))).shape
        torch.Size([2, 24, 4, 4])
    """
    s, t = grids("regressor", student, teacher)
    sizes = [coarser(s, t)] * 2 if resize else [s.size, t.size]
    head = nn.Conv2d(s.channels, t.channels, 1)
    return HeadAdapter(FeatureMaps(s, sizes[0]), head), FeatureMaps(t, sizes[1])


def gaussian(
    student: Shape, teacher: Shape, *, variance: float = 5.0, eps: float = 1e-5
) -> tuple[Adapter, Adapter]:
    r"""A normal distribution of the teacher's map, given the student's: for `vid`.

    .. math:: \mu = W_3 \, r(W_2 \, r(W_1 f^s)), \quad
              \sigma_c^2 = \log(1 + e^{a_c}) + \epsilon

    with r the ReLU and W 1×1 convolutions without bias; a is trained, one number a channel.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: shape of the teacher's feature.
        variance: at the beginning, above eps.
        eps: the least variance, above 0.

    Returns:
        The student's side, `[b, 2 c, h, w]` (the means, then the variances, of the teacher's c
        channels), and the teacher's, `[b, c, h, w]`.

    Raises:
        MenteeError: `variance` or `eps` is out of range.
        PairError: as for `feature_maps`.

    Memory: O(b c h w). Source: Ahn et al. 2019 (arXiv:1904.05835).
    """
    if not variance > eps > 0:
        raise MenteeError(
            f"gaussian: variance is {variance} and eps {eps}, expected variance > eps > 0"
        )
    s, t = grids("gaussian", student, teacher)
    size, width = coarser(s, t), t.channels
    head = nn.Sequential(
        nn.Conv2d(s.channels, width, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(width, width, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(width, width, 1, bias=False),
    )
    return Gaussian(FeatureMaps(s, size), head, width, variance, eps), FeatureMaps(t, size)


class Gaussian(HeadAdapter):
    """The student-side adapter of `gaussian`: means from the head, and trained variances."""

    def __init__(
        self, reader: FeatureMaps, head: nn.Module, width: int, variance: float, eps: float
    ) -> None:
        super().__init__(reader, head)
        self.eps = eps
        self.log_scale = nn.Parameter(torch.full((width,), math.log(math.expm1(variance - eps))))

    def forward(self, precomputed: Tensor) -> Float[Tensor, "b c2 h w"]:
        """Means and variances, concatenated."""
        means = super().forward(precomputed)
        variances = F.softplus(self.log_scale) + self.eps
        return torch.cat([means, variances[:, None, None].expand_as(means)], 1)
