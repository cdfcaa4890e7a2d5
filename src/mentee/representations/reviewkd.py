"""ReviewKD: each of the teacher's maps, from all coarser ones of the student."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mentee.representations.adapter import Adapter, FeatureShape
from mentee.representations.feature_maps import Grid
from mentee.representations.fsp import together

WIDEST = 512
LEVELS = (4, 2, 1)


def reviewkd(student: FeatureShape, teacher: FeatureShape) -> tuple[Adapter, Adapter]:
    r"""The student's maps fused from the coarsest to the finest, each compared in a pyramid.

    .. math:: r_l = \alpha_l \odot W_l f_l + \beta_l \odot \mathrm{up}(r_{l+1}), \quad
              s_l = V_l \, \mathrm{up}(r_l)

    W are 1×1 and V 3×3 convolutions, alpha and beta the sigmoid of a 1×1 convolution of both. The
    output are the pyramids of all s, concatenated, scaled so that the sum of squared
    differences to the teacher's is the sum over the maps of the hierarchical context loss (`hcl`).

    After each convolution there is a group norm where the authors have a batch norm, so that a
    batch of one will do.

    Args:
        student: shapes of its features, without the batch, from fine to coarse; a vector is a
            map of one point.
        teacher: shape of the teacher's feature.

    Returns:
        The student's adapter and the teacher's: vectors.

    Raises:
        PairError: a single layer is read, or tokens make no square.

    Memory: O(b c h w), of all maps. Source: Chen et al. 2021 (arXiv:2104.09044).
    """
    student_grids, teacher_grids = together("reviewkd", _as_maps(student), _as_maps(teacher))
    return ReviewFusion(student_grids, teacher_grids), Pyramids(teacher_grids)


class Pyramids(Adapter):
    """The teacher-side adapter of `reviewkd`: precomputed as a whole."""

    def __init__(self, grids: Sequence[Grid]) -> None:
        super().__init__()
        self.grids = grids

    @property
    def reduction(self) -> str | None:
        """The pyramids."""
        return "pyramids"

    def precompute(self, features: Any) -> Float[Tensor, "b d"]:
        """Of all maps, concatenated."""
        return pyramids(_maps(self.grids, features))


class ReviewFusion(Adapter):
    """The student-side adapter of `reviewkd`.

    Args:
        student_grids: the grid of each layer's feature map.
        teacher_grids: the teacher's.
    """

    def __init__(self, student_grids: Sequence[Grid], teacher_grids: Sequence[Grid]) -> None:
        super().__init__()
        self.student_grids, self.teacher_grids = student_grids, teacher_grids
        width = min(WIDEST, student_grids[-1].channels)
        self.inward = nn.ModuleList(
            nn.Sequential(nn.Conv2d(g.channels, width, 1, bias=False), nn.GroupNorm(1, width))
            for g in student_grids
        )
        self.outward = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, g.channels, 3, padding=1, bias=False),
                nn.GroupNorm(1, g.channels),
            )
            for g in teacher_grids
        )
        self.attention = nn.ModuleList(nn.Conv2d(2 * width, 2, 1) for _ in student_grids[:-1])

    @property
    def reduction(self) -> str | None:
        """None: a student's output is not recorded."""
        return None

    def precompute(self, features: Any) -> Any:
        """The maps."""
        return _maps(self.student_grids, features)

    def forward(self, precomputed: Any) -> Float[Tensor, "b d"]:
        """The pyramids of the fused maps, concatenated."""
        fused: list[Tensor] = []
        passed: Tensor | None = None
        for level in reversed(range(len(self.student_grids))):
            x: Tensor = self.inward[level](precomputed[level])
            if passed is not None:
                y = F.interpolate(passed, self.student_grids[level].size)
                weights = self.attention[level](torch.cat([x, y], 1)).sigmoid()
                x = x * weights[:, :1] + y * weights[:, 1:]
            passed = F.interpolate(x, self.teacher_grids[level].size)
            fused.insert(0, self.outward[level](passed))
        return pyramids(fused)


def pyramids(maps: Sequence[Tensor]) -> Float[Tensor, "b d"]:
    """All levels of all maps, flat; squared differences of two add up to the sum of `hcl`."""
    return torch.cat([part for x in maps for part in _levels(x)], 1)


def _levels(x: Float[Tensor, "b c h w"]) -> list[Tensor]:
    cells = [n for n in LEVELS if n < x.shape[2]]
    weights = [2.0**-level for level in range(len(cells) + 1)]
    averaged = [x, *(F.adaptive_avg_pool2d(x, (n, n)) for n in cells)]
    flat = [each.flatten(1) for each in averaged]
    return [
        each * (weight / (sum(weights) * each.shape[1])) ** 0.5
        for each, weight in zip(flat, weights, strict=True)
    ]


def _as_maps(shapes: FeatureShape) -> FeatureShape:
    """A vector as a map of one point; what is no list of shapes is left as it is."""
    return tuple((*s, 1, 1) if isinstance(s, tuple) and len(s) == 1 else s for s in shapes)  # type: ignore[return-value]


def _maps(grids: Sequence[Grid], features: Sequence[Tensor]) -> list[Tensor]:
    return [
        x[:, :, None, None] if x.ndim == 2 else grid.of(x)
        for grid, x in zip(grids, features, strict=True)
    ]
