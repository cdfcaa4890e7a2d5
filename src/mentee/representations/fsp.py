"""FSP: inner products of the channels of one layer with those of the next."""

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
    r"""FSP matrices: the inner products of the channels of each two layers in turn.

    .. math:: G_{uv} = \frac{1}{h w} \sum_p f^{(l)}_{up} f^{(l+1)}_{vp}

    of each pair of layers in turn, the finer map averaged to the coarser. The entries of a matrix
    of c by c' are divided by its :math:`\sqrt{c c'}`, so that the sum of squared differences is the
    sum of the matrices' mean squared ones. Where the student has other channels than the teacher, a
    1×1 convolution gives it the teacher's (published for equal ones only).

    Args:
        student: shapes of its features, without the batch, from fine to coarse.
        teacher: shape of the teacher's feature.

    Returns:
        The student's adapter and the teacher's: vectors of the sum of c·c' entries.

    Raises:
        PairError: there is one layer only, or a feature is a vector.

    Memory: O(b c²). Source: Yim et al. 2017 (CVPR), "A gift from knowledge distillation".
    """
    student_grids, teacher_grids = together("fsp", student, teacher)
    if len(student_grids) < 2:
        raise PairError(
            "fsp reads each two layers in turn, and there is one only; name several: "
            "layers: stem&stages"
        )
    heads = [
        nn.Identity() if s.channels == t.channels else nn.Conv2d(s.channels, t.channels, 1)
        for s, t in zip(student_grids, teacher_grids, strict=True)
    ]
    return FSPMatrices(student_grids, heads), FSPMatrices(teacher_grids, None)


class FSPMatrices(Adapter):
    """The adapter of `fsp`, of student or teacher.

    Args:
        grids: the grid of each layer's feature map.
        heads: the student's, one a layer; None: the teacher's, precomputed as a whole.
    """

    def __init__(self, grids: Sequence[Grid], heads: Sequence[nn.Module] | None) -> None:
        super().__init__()
        self.grids, self.is_precomputed = grids, heads is None
        self.heads = nn.ModuleList(heads or [])

    @property
    def reduction(self) -> str | None:
        """The teacher's matrices, under the name that records have for them."""
        return "flow" if self.is_precomputed else None

    def precompute(self, features: Any) -> Any:
        """The teacher's matrices; the student's maps."""
        maps = [grid.of(x) for grid, x in zip(self.grids, features, strict=True)]
        return fsp_matrices(maps) if self.is_precomputed else maps

    def forward(self, precomputed: Any) -> Float[Tensor, "b d"]:
        """The matrices."""
        if self.is_precomputed:
            return precomputed  # type: ignore[no-any-return]
        return fsp_matrices([head(x) for head, x in zip(self.heads, precomputed, strict=True)])


def fsp_matrices(maps: Sequence[Tensor]) -> Float[Tensor, "b d"]:
    """The matrices of each two maps in turn, flat, concatenated."""
    return torch.cat([_matrix(x, y).flatten(1) for x, y in itertools.pairwise(maps)], 1)


def _matrix(x: Tensor, y: Tensor) -> Float[Tensor, "b c c2"]:
    size = min(x.shape[2], y.shape[2]), min(x.shape[3], y.shape[3])
    x, y = (each if each.shape[2:] == size else pool(each, size) for each in (x, y))
    scale = size[0] * size[1] * (x.shape[1] * y.shape[1]) ** 0.5
    return x.flatten(2) @ y.flatten(2).mT / scale  # type: ignore[no-any-return]


def together(
    name: str, student: FeatureShape, teacher: FeatureShape
) -> tuple[list[Grid], list[Grid]]:
    """The grids of both networks, layer by layer.

    Raises:
        PairError: a single layer is read, or a feature is a vector.
    """
    if not all(shapes and isinstance(shapes[0], tuple) for shapes in (student, teacher)):
        raise PairError(
            f"{name} reads several layers together; name them with &: layers: stem&stages"
        )
    pairs = zip(cast(Sequence[Shape], student), cast(Sequence[Shape], teacher), strict=True)
    both = [grids(name, s, t) for s, t in pairs]
    return [s for s, _ in both], [t for _, t in both]
