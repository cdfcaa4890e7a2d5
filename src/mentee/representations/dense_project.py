"""Projection heads that keep the positions of maps, for `info_nce`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.feature_maps import FeatureMaps, Grid, coarser, grids
from mentee.representations.heads import HeadAdapter
from mentee.representations.normalization import unit_norm


def dense_project(
    student: Shape, teacher: Shape, *, width: int = 64, grid: int = 8, square: bool = False
) -> tuple[Adapter, Adapter]:
    r"""A 1×1 convolution for each network, and unit length at each position.

    .. math:: g_p = \mathrm{unit}(W f_p + b)

    The finer map is averaged to the resolution of the coarser, and both to at most `grid` cells a
    side. Both heads are trained with the student and dropped at export. Tokens `[t, d]` are
    positions: laid out as a square where they meet a map, else a line, which is not averaged.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: shape of the teacher's feature.
        width: d, entries of the unit vector at each position.
        grid: most cells a side.
        square: tokens of both are patches of an image: laid out as squares, without the class token
            and the registers before them, and averaged as maps are.

    Returns:
        The student's adapter and the teacher's: `[b, d, h, w]`, of one h and w.

    Raises:
        MenteeError: `width` or `grid` is below 1.
        PairError: as for `feature_maps`.

    Memory: O(b d h w). Source: Wang et al. 2021 (DenseCL, arXiv:2011.09157).

    Example:
        >>> import torch
        >>> s, t = dense_project((16, 32, 32), (24, 4, 4), width=8)
        >>> s(s.precompute(torch.zeros(2, 16, 32, 32))).shape
        torch.Size([2, 8, 4, 4])
    """
    for name, number in (("width", width), ("grid", grid)):
        if number < 1:
            raise MenteeError(f"dense_project: {name} is {number}, expected at least 1")
    both = grids("dense_project", student, teacher, squares=square)
    height, columns = coarser(*both)
    size = (height, columns) if columns == 1 else (min(height, grid), min(columns, grid))
    return DenseProjection(both[0], size, width), DenseProjection(both[1], size, width)


class DenseProjection(HeadAdapter):
    """The adapter of `dense_project`, of student or teacher."""

    def __init__(self, grid: Grid, size: tuple[int, int], width: int) -> None:
        super().__init__(FeatureMaps(grid, size), nn.Conv2d(grid.channels, width, 1))

    def forward(self, precomputed: Tensor) -> Float[Tensor, "b d h w"]:
        """The head's vectors, of unit length at each position."""
        vectors = super().forward(precomputed)
        return unit_norm(vectors.movedim(1, -1)).movedim(-1, 1)
