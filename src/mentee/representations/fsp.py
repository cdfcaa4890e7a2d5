"""Flow: how the channels of one place go with those of the next."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import PairError
from mentee.representations.adapter import Adapter, FeatureShape, Shape
from mentee.representations.feature_maps import Grid, grids
from mentee.representations.project import pool


def fsp(student: FeatureShape, teacher: FeatureShape) -> tuple[Adapter, Adapter]:
    r"""The inner products of the channels of each two places in turn: FSP matrices.

    .. math:: G_{uv} = \frac{1}{h w} \sum_p f^{(l)}_{up} f^{(l+1)}_{vp}

    of each pair of places in turn, the finer map averaged to the coarser. The entries of a matrix
    of c by c' are divided by its :math:`\sqrt{c c'}`, so that the sum of squared differences is the
    sum of the matrices' mean squared ones. Where the student has other channels than the teacher, a
    1×1 convolution gives it the teacher's (published for equal ones only).

    Args:
        student: what is read at its places, without the batch, from fine to coarse.
        teacher: the same of the teacher.

    Returns:
        The student's side and the teacher's: vectors of the sum of c·c' entries.

    Raises:
        PairError: there is one place only, or one says vectors.

    Memory: O(b c²). Source: Yim et al. 2017 (CVPR), "A gift from knowledge distillation".
    """
    ours, theirs = together("fsp", student, teacher)
    if len(ours) < 2:
        raise PairError(
            "fsp reads each two places in turn, and there is one only; name several: "
            "places: stem&stages"
        )
    heads = [
        nn.Identity() if s.channels == t.channels else nn.Conv2d(s.channels, t.channels, 1)
        for s, t in zip(ours, theirs, strict=True)
    ]
    return FlowMatrices(ours, heads), FlowMatrices(theirs, None)


class FlowMatrices(Adapter):
    """One side of `fsp`.

    Args:
        grids: how what is read is laid out, place by place.
        heads: the student's, one a place; None: the teacher's side, all of which is fixed.
    """

    def __init__(self, grids: Sequence[Grid], heads: Sequence[nn.Module] | None) -> None:
        super().__init__()
        self.grids, self.is_fixed = grids, heads is None
        self.heads = nn.ModuleList(heads or [])

    @property
    def reduction(self) -> str | None:
        """The matrices of the teacher's side."""
        return "flow" if self.is_fixed else None

    def precompute(self, features: Any) -> Any:
        """The teacher's matrices; the student's maps."""
        maps = [grid.of(x) for grid, x in zip(self.grids, features, strict=True)]
        return flows(maps) if self.is_fixed else maps

    def forward(self, precomputed: Any) -> Float[Tensor, "b d"]:
        """The matrices."""
        if self.is_fixed:
            said: Tensor = precomputed
            return said
        return flows([head(x) for head, x in zip(self.heads, precomputed, strict=True)])


def flows(maps: Sequence[Tensor]) -> Float[Tensor, "b d"]:
    """The matrices of each two maps in turn, flat, one behind the other."""
    return torch.cat([_matrix(x, y).flatten(1) for x, y in itertools.pairwise(maps)], 1)


def _matrix(x: Tensor, y: Tensor) -> Float[Tensor, "b c c2"]:
    size = min(x.shape[2], y.shape[2]), min(x.shape[3], y.shape[3])
    x, y = (each if each.shape[2:] == size else pool(each, size) for each in (x, y))
    scale = size[0] * size[1] * (x.shape[1] * y.shape[1]) ** 0.5
    said: Tensor = x.flatten(2) @ y.flatten(2).mT / scale
    return said


def together(
    name: str, student: FeatureShape, teacher: FeatureShape
) -> tuple[list[Grid], list[Grid]]:
    """How both sides are laid out, place by place.

    Raises:
        PairError: there is one place and no list of them, or one says a vector.
    """
    if not all(shapes and isinstance(shapes[0], tuple) for shapes in (student, teacher)):
        raise PairError(
            f"{name} reads several places together; name them with &: places: stem&stages"
        )
    pairs = zip(cast(Sequence[Shape], student), cast(Sequence[Shape], teacher), strict=True)
    both = [grids(name, s, t) for s, t in pairs]
    return [ours for ours, _ in both], [theirs for _, theirs in both]
