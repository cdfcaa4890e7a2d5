"""Association: which stages of the teacher each stage of the student learns from, by attention."""

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
from mentee.representations.project import pool
from mentee.representations.unit_norm import unit_norm


def semckd(
    student: FeatureShape, teacher: FeatureShape, *, examples: int = 64, temperature: float = 1.0
) -> tuple[Adapter, Adapter]:
    r"""Every map of the student beside every one of the teacher, weighed by attention.

    .. math:: \alpha_{i \cdot} = \mathrm{softmax}_j \bigl( \langle q_i, k_j \rangle / \tau \bigr),
              \quad q_i = Q_i (f^s_i f^{s \top}_i), \quad k_j = K_j (f^t_j f^{t \top}_j)

    for each example, with Q and K networks of two layers and a unit vector at the end: they read an
    example's inner products with the batch. The pairs of maps stand one behind the other, scaled so
    that the sum of squared differences is

    .. math:: \frac{1}{s} \sum_{ij} \alpha_{ij} \; \frac{1}{c h w}
              \lVert P_{ij} f^s_i - f^t_j \rVert^2

    with P three convolutions to the teacher's channels, at the coarser of the two resolutions. As
    published, the loss itself teaches the weights: they may turn to what is easily followed.

    Behind the first two convolutions a group norm stands where the authors have a batch norm, so
    that a batch of one will do.

    Args:
        student: what is read at its places, without the batch: maps or tokens.
        teacher: the same of the teacher; as many places as it has.
        examples: how many examples Q and K are told of, the first of the batch, of all processes;
            in a smaller one zeros stand for the others. Published: all of a batch of 64.
        temperature: tau > 0.

    Returns:
        The student's side and the teacher's: vectors of the c·h·w of all pairs.

    Raises:
        MenteeError: a number is out of range.
        PairError: a place says a vector, or tokens make no square.

    Memory: O(b s t c h w). A record keeps the teacher's maps, the finer ones at the resolution of
    the student's finest. Source: Chen et al. 2021 (arXiv:2012.03236).
    """
    if examples < 1 or temperature <= 0:
        raise MenteeError(
            f"semckd: examples is {examples} and temperature {temperature}, expected at least "
            "1, and more than 0"
        )
    ours, theirs = all_grids("semckd", listed(student), listed(teacher))
    finest = max(g.size[0] for g in ours), max(g.size[1] for g in ours)
    kept = [replace(g, size=coarser(g, Grid(1, finest, tokens=False))) for g in theirs]
    return CrossLayerAttention(ours, kept, examples, temperature), StudentLayers(theirs, kept)


class StudentLayers(Adapter):
    """The teacher's side of `semckd`, all of which is fixed: its maps.

    Args:
        grids: how what is read is laid out, place by place.
        kept: the same at the resolutions to come out.
    """

    def __init__(self, grids: Sequence[Grid], kept: Sequence[Grid]) -> None:
        super().__init__()
        self.grids, self.kept = grids, kept

    @property
    def reduction(self) -> str | None:
        """The maps."""
        return "maps of " + " ".join(f"{h}x{w}" for h, w in (each.size for each in self.kept))

    def precompute(self, features: Any) -> Float[Tensor, "b d"]:
        """All maps, one behind the other."""
        maps = [g.of(x) for g, x in zip(self.grids, listed(features), strict=True)]
        pairs = zip(maps, self.kept, strict=True)
        return torch.cat([pool_to(x, each.size).flatten(1) for x, each in pairs], 1)


class CrossLayerAttention(Adapter):
    """The student's side of `semckd`, with all that is trained.

    Args:
        ours: how what is read is laid out, place by place.
        theirs: the same of what the teacher's side says.
        examples: that the networks of the attention are told of.
        temperature: of the attention.
    """

    def __init__(
        self, ours: Sequence[Grid], theirs: Sequence[Grid], examples: int, temperature: float
    ) -> None:
        super().__init__()
        self.ours, self.theirs = ours, theirs
        self.examples, self.temperature = examples, temperature
        self.queries = nn.ModuleList(embedding(examples) for _ in ours)
        self.keys = nn.ModuleList(embedding(examples) for _ in theirs)
        self.heads = nn.ModuleList(
            nn.ModuleList(projector(s.channels, t.channels) for t in theirs) for s in ours
        )

    @property
    def reduction(self) -> str | None:
        """It is the student's: nothing of it is kept."""
        return None

    def precompute(self, features: Any) -> Any:
        """The maps."""
        return [grid.of(x) for grid, x in zip(self.ours, listed(features), strict=True)]

    def forward(self, precomputed: Any) -> Float[Tensor, "b d"]:
        """The queries, then the projected maps of all pairs."""
        queries = [self._asked(net, x) for net, x in zip(self.queries, precomputed, strict=True)]
        maps = [
            cast(nn.ModuleList, self.heads[i])[j](pool_to(x, coarser(ours, theirs))).flatten(1)
            for i, (x, ours) in enumerate(zip(precomputed, self.ours, strict=True))
            for j, theirs in enumerate(self.theirs)
        ]
        return torch.cat([*queries, *maps], 1)

    def align(self, said: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of all pairs, weighed by the roots of the attention: (student's, teacher's)."""
        b, count = len(said), len(self.ours)
        sizes = [g.channels * g.size[0] * g.size[1] for g in self.theirs]
        maps: Sequence[Tensor] = torch.split(other, sizes, 1)
        keys = [self._asked(net, x) for net, x in zip(self.keys, maps, strict=True)]
        width = keys[0].shape[1]
        queries, projected = said[:, : count * width], said[:, count * width :]
        energy = queries.view(b, count, width) @ torch.stack(keys, 2) / self.temperature
        # √α, whose slope stays bounded where α is small; over √s: the mean over the student's maps
        roots = (energy.log_softmax(2) / 2).exp() / count**0.5
        targets, weights = [], []
        for i, ours in enumerate(self.ours):
            for j, theirs in enumerate(self.theirs):
                whole = maps[j].view(b, theirs.channels, *theirs.size)
                target = pool_to(whole, coarser(ours, theirs)).flatten(1)
                targets.append(target)
                weights.append((roots[:, i, j, None] / target.shape[1] ** 0.5).expand_as(target))
        target, weight = torch.cat(targets, 1), torch.cat(weights, 1)
        compared = (weight * target).detach()
        # In value √α P f; its difference to √α f' has the slope of α |P f − f'|², also toward α.
        return weight * (projected - target) + compared, compared

    def _asked(self, network: nn.Module, x: Tensor) -> Float[Tensor, "b e"]:
        """The query or key of each example, from its inner products with the batch."""
        with torch.autocast(x.device.type, enabled=False):  # they may be beyond half precision
            parameter = next(network.parameters())
            rows = x.flatten(1).to(parameter.dtype)
            first = gather_with_grad(rows[: self.examples])[: self.examples]  # of all processes
            products = rows @ first.T
            said = network(F.pad(products, (0, self.examples - products.shape[1])))
            return unit_norm(said)


def embedding(examples: int) -> nn.Module:
    """What makes a query or a key of a row of inner products: as wide as published for 64."""
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
    """Averaged to a resolution; as it is where it has that."""
    return x if x.shape[2:] == size else pool(x, size)


def listed(given: Any) -> Sequence[Any]:
    """What is read at several places; of one place alone a list of one."""
    alone = isinstance(given, Tensor) or isinstance(given[0], int)
    return cast(Sequence[Shape], [given] if alone else given)
