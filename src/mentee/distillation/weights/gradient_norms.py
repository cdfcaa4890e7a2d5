"""How hard each loss pulls at what it reads of the student, beside the task's loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mentee.parallel import all_reduce_sum, world

SCALE = 1024.0
"""What losses are multiplied with first, so that half precision does not lose small slopes."""


@dataclass(frozen=True)
class GradientNorms:
    """Lengths of two gradients with respect to what a term reads of the student in a batch.

    Attributes:
        own: of the term's unweighted value.
        beside: of the loss that it is compared with; nan where that does not depend on it.
    """

    own: float
    beside: float


def pulls(
    losses: Mapping[str, Tensor],
    reads: Mapping[str, Sequence[str]],
    edges: Mapping[str, GradientEdge],
) -> tuple[str, dict[str, GradientNorms]]:
    r"""The pull of each term at its own places, and there that of the loss they are compared with.

    .. math:: own_k = \lVert \nabla_{S_k} agree_k \rVert, \quad
              beside_k = \lVert \nabla_{S_k} L_{task} \rVert

    S_k are the student's features that term k reads: the last point of the student that the term
    and the task have in common. The task's gradient takes one pass back through the student, a
    term's only one through its head. Without a task's loss the terms are compared with the one
    whose gradient reaches the most places; all lengths are those of one process with the whole
    batch.

    Args:
        losses: unweighted, of this process's part of a batch, with the graph.
        reads: the places of the student that each term reads.
        edges: of these places, as `Capture.run` gives them.

    Returns:
        The name of the loss that is compared with, and the lengths by term.

    Memory: O(features). Source: with respect to features rather than weights as in Sener and
    Koltun 2018 (arXiv:1810.04650).
    """
    places = list(edges)
    if "task" in losses:
        name, theirs = "task", squares(losses["task"], places, edges)
        mine = {
            k: squares(losses[k], [p for p in at if p in edges], edges) for k, at in reads.items()
        }
    else:
        mine = {k: squares(losses[k], places, edges) for k in reads}
        name = max(mine, key=lambda k: len(mine[k]))
        theirs = mine[name]
    zero, rows = losses[name].new_zeros(()).float(), []
    for k, at in reads.items():
        own = [mine[k][p] for p in at if p in mine[k]]
        beside = [theirs[p] for p in at if p in theirs]
        rows += [torch.stack([zero, *x]).sum() for x in (own, beside)]
        rows[-1] = rows[-1] if beside else zero + torch.nan
    found = (all_reduce_sum(torch.stack(rows)).sqrt() / (SCALE * world())).tolist()
    return name, {k: GradientNorms(*found[2 * n : 2 * n + 2]) for n, k in enumerate(reads)}


def squares(
    loss: Tensor, places: Sequence[str], edges: Mapping[str, GradientEdge]
) -> dict[str, Tensor]:
    """The squared length of a loss's gradient at each of the places that it depends on."""
    if not (loss.requires_grad and places):
        return {}
    at = [edges[place] for place in places]
    found = torch.autograd.grad(loss * SCALE, at, retain_graph=True, allow_unused=True)
    return {p: length(g) ** 2 for p, g in zip(places, found, strict=True) if g is not None}


def length(x: Tensor) -> Tensor:
    """The Euclidean norm of all entries, in float32 at least."""
    norm: Tensor = torch.linalg.vector_norm(
        x.detach(), dtype=torch.promote_types(x.dtype, torch.float32)
    )
    return norm
