"""Projection heads that keep the positions of maps, for `info_nce`."""

from __future__ import annotations

from torch import nn

from mentee.errors import MenteeError
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.feature_maps import FeatureMaps, at_most, coarser, grids
from mentee.representations.heads import UnitHead


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
    size = at_most(grid, coarser(*both))
    student_side, teacher_side = (
        UnitHead(FeatureMaps(each, size), nn.Conv2d(each.channels, width, 1)) for each in both
    )
    return student_side, teacher_side
