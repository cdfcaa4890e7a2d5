"""SemCKD: attention weighs which stages of the teacher each stage of the student learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.parallel import gather_with_grad
from mentee.representations.adapter import Adapter, FeatureShape, Shape
from mentee.representations.feature_maps import Grid, all_grids, coarser
from mentee.representations.normalization import unit_norm
from mentee.representations.project import pool


def semckd(
    student: FeatureShape, teacher: FeatureShape, *, examples: int = 64, temperature: float = 1.0
) -> tuple[Adapter, Adapter]:
    r"""Every map of the student with every one of the teacher, weighed by attention.

    .. math:: \alpha_{i \cdot} = \mathrm{softmax}_j \bigl( \langle q_i, k_j \rangle / \tau \bigr),
              \quad q_i = Q_i (f^s_i f^{s \top}_i), \quad k_j = K_j (f^t_j f^{t \top}_j)

    for each example, with Q and K networks of two layers and a unit vector at the end: they read an
    example's inner products with the batch. The pairs of maps are concatenated, scaled so that
    the sum of squared differences is

    .. math:: \frac{1}{s} \sum_{ij} \alpha_{ij} \; \frac{1}{c h w}
              \lVert P_{ij} f^s_i - f^t_j \rVert^2

    with P three convolutions to the teacher's channels, at the coarser of the two resolutions. As
    published, the loss itself trains the weights: they may turn to what is easily followed.

    After the first two convolutions there is a group norm where the authors have a batch norm, so
    that a batch of one will do.

    Args:
        student: shapes of its features, without the batch: maps or tokens.
        teacher: shape of the teacher's feature; as many layers as it has.
        examples: how many examples Q and K read, the first of the batch, of all processes; in a
            smaller one zeros stand for the others. Published: all of a batch of 64.
        temperature: tau > 0.

    Returns:
        The student's adapter and the teacher's: vectors of the c·h·w of all pairs.

    Raises:
        MenteeError: a number is out of range.
        PairError: a feature is a vector, or tokens make no square.

    Memory: O(b s t c h w). A record keeps the teacher's maps, the finer ones at the resolution of
    the student's finest. Source: Chen et al. 2021 (arXiv:2012.03236).
    """
    if examples < 1 or temperature <= 0:
        raise MenteeError(
            f"semckd: examples is {examples} and temperature {temperature}, expected at least "
            "1, and more than 0"
        )
    student_grids, teacher_grids = all_grids("semckd", listed(student), listed(teacher))
    finest = max(g.size[0] for g in student_grids), max(g.size[1] for g in student_grids)
    recorded = [replace(g, size=coarser(g, Grid(1, finest, tokens=False))) for g in teacher_grids]
    return CrossLayerAttention(student_grids, recorded, examples, temperature), TeacherMaps(
        teacher_grids, recorded
    )


class TeacherMaps(Adapter):
    """The teacher-side adapter of `semckd`: precomputed as a whole: its maps.

    Args:
        grids: the grid of each layer's feature map.
        recorded: the same at the output resolutions.
    """

    def __init__(self, grids: Sequence[Grid], recorded: Sequence[Grid]) -> None:
        super().__init__()
        self.grids, self.recorded = grids, recorded

    @property
    def reduction(self) -> str | None:
        """The maps."""
        return "maps of " + " ".join(f"{h}x{w}" for h, w in (each.size for each in self.recorded))

    def precompute(self, features: Any) -> Float[Tensor, "b d"]:
        """All maps, concatenated."""
        maps = [g.of(x) for g, x in zip(self.grids, listed(features), strict=True)]
        pairs = zip(maps, self.recorded, strict=True)
        return torch.cat([pool_to(x, each.size).flatten(1) for x, each in pairs], 1)


class CrossLayerAttention(Adapter):
    """The student-side adapter of `semckd`, with all that is trained.

    Args:
        student_grids: the grid of each layer's feature map.
        teacher_grids: those of the teacher's output.
        examples: that the attention networks read.
        temperature: of the attention.
    """

    def __init__(
        self,
        student_grids: Sequence[Grid],
        teacher_grids: Sequence[Grid],
        examples: int,
        temperature: float,
    ) -> None:
        super().__init__()
        self.student_grids, self.teacher_grids = student_grids, teacher_grids
        self.examples, self.temperature = examples, temperature
        self.queries = nn.ModuleList(embedding(examples) for _ in student_grids)
        self.keys = nn.ModuleList(embedding(examples) for _ in teacher_grids)
        self.heads = nn.ModuleList(
            nn.ModuleList(projector(s.channels, t.channels) for t in teacher_grids)
            for s in student_grids
        )

    @property
    def reduction(self) -> str | None:
        """None: a student's output is not recorded."""
        return None

    def precompute(self, features: Any) -> Any:
        """The maps."""
        return [grid.of(x) for grid, x in zip(self.student_grids, listed(features), strict=True)]

    def forward(self, precomputed: Any) -> Float[Tensor, "b d"]:
        """The queries, then the projected maps of all pairs."""
        queries = [self._attend(net, x) for net, x in zip(self.queries, precomputed, strict=True)]
        maps = [
            cast(nn.ModuleList, self.heads[i])[j](pool_to(x, coarser(s, t))).flatten(1)
            for i, (x, s) in enumerate(zip(precomputed, self.student_grids, strict=True))
            for j, t in enumerate(self.teacher_grids)
        ]
        return torch.cat([*queries, *maps], 1)

    def align(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of all pairs, weighed by the roots of the attention: (student's, teacher's)."""
        b, count = len(student), len(self.student_grids)
        sizes = [g.channels * g.size[0] * g.size[1] for g in self.teacher_grids]
        maps: Sequence[Tensor] = torch.split(teacher, sizes, 1)
        keys = [self._attend(net, x) for net, x in zip(self.keys, maps, strict=True)]
        width = keys[0].shape[1]
        queries, projected = student[:, : count * width], student[:, count * width :]
        energy = queries.view(b, count, width) @ torch.stack(keys, 2) / self.temperature
        # √α, whose slope stays bounded where α is small; over √s: the mean over the student's maps
        roots = (energy.log_softmax(2) / 2).exp() / count**0.5
        targets, weights = [], []
        for i, s in enumerate(self.student_grids):
            for j, t in enumerate(self.teacher_grids):
                whole = maps[j].view(b, t.channels, *t.size)
                target = pool_to(whole, coarser(s, t)).flatten(1)
                targets.append(target)
                weights.append((roots[:, i, j, None] / target.shape[1] ** 0.5).expand_as(target))
        target, weight = torch.cat(targets, 1), torch.cat(weights, 1)
        compared = (weight * target).detach()
        # In value √α P f; its difference to √α f' has the slope of α |P f − f'|², also toward α.
        return weight * (projected - target) + compared, compared

    def _attend(self, network: nn.Module, x: Tensor) -> Float[Tensor, "b e"]:
        """The query or key of each example, from its inner products with the batch."""
        with torch.autocast(x.device.type, enabled=False):  # they may be beyond half precision
            parameter = next(network.parameters())
            rows = x.flatten(1).to(parameter.dtype)
            first = gather_with_grad(rows[: self.examples])[: self.examples]  # of all processes
            products = rows @ first.T
            return unit_norm(network(F.pad(products, (0, self.examples - products.shape[1]))))


def embedding(examples: int) -> nn.Module:
    """The network from inner products to a query or key: as wide as published for 64 examples."""
    width = max(examples // 4, 1)
    return nn.Sequential(nn.Linear(examples, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))


def projector(inputs: int, outputs: int) -> nn.Module:
    """Three convolutions to the teacher's channels, twice as wide within."""
    inner = 2 * outputs
    return nn.Sequential(
        nn.Conv2d(inputs, inner, 1, bias=False),
        nn.GroupNorm(1, inner),
        nn.ReLU(),
        nn.Conv2d(inner, inner, 3, padding=1, bias=False),
        nn.GroupNorm(1, inner),
        nn.ReLU(),
        nn.Conv2d(inner, outputs, 1, bias=False),
    )


def pool_to(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c i j"]:
    """Averaged to a resolution, where it has another."""
    return x if x.shape[2:] == size else pool(x, size)


def listed(features: Any) -> Sequence[Any]:
    """The shapes or features of several layers; those of a single layer as a list of one."""
    single = isinstance(features, Tensor) or isinstance(features[0], int)
    return cast(Sequence[Shape], [features] if single else features)
