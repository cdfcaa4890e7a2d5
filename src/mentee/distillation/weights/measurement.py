"""What is measured of the losses: their sizes in a run's first steps, and their gradient norms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mentee.errors import RunError
from mentee.parallel import all_reduce_sum, gather, world

FIRST = 10
"""Steps whose values are averaged."""
SCALE = 1024.0
"""Losses are multiplied with it first, so that half precision does not lose small gradients."""


@dataclass(frozen=True)
class GradientNorms:
    """Norms of two gradients with respect to the student's features that a term reads.

    Attributes:
        own: of the term's unweighted value.
        reference: of the loss that it is compared with; nan where that does not depend on them.
    """

    own: float
    reference: float


def measure_gradient_norms(
    losses: Mapping[str, Tensor],
    reads: Mapping[str, Sequence[str]],
    edges: Mapping[str, GradientEdge],
) -> tuple[str, dict[str, GradientNorms]]:
    r"""The gradient norm of each term at its own layers, and of the reference loss there.

    .. math:: own_k = \lVert \nabla_{S_k} loss_k \rVert, \quad
              reference_k = \lVert \nabla_{S_k} L_{task} \rVert

    S_k are the student's features that term k reads: the last point of the student that the term
    and the task have in common. The task's gradient takes one pass back through the student, a
    term's only one through its head. Without a task's loss the reference is the term whose gradient
    reaches the most layers; all norms are those of one process with the whole batch.

    Args:
        losses: unweighted, of this process's part of a batch, with the graph.
        reads: the student's layers that each term reads.
        edges: of these layers, as `Capture.run` returns them.

    Returns:
        The name of the reference loss, and the norms by term.

    Memory: O(features). Source: with respect to features rather than weights as in Sener and
    Koltun 2018 (arXiv:1810.04650).
    """
    layers = list(edges)
    if "task" in losses:
        name, reference = "task", squared_norms(losses["task"], layers, edges)
        own = {
            term: squared_norms(losses[term], [layer for layer in at if layer in edges], edges)
            for term, at in reads.items()
        }
    else:
        own = {term: squared_norms(losses[term], layers, edges) for term in reads}
        name = max(own, key=lambda term: len(own[term]))
        reference = own[name]
    zero, sums = losses[name].new_zeros(()).float(), []
    for term, at in reads.items():
        of_term = [own[term][layer] for layer in at if layer in own[term]]
        of_reference = [reference[layer] for layer in at if layer in reference]
        sums += [torch.stack([zero, *squares]).sum() for squares in (of_term, of_reference)]
        sums[-1] = sums[-1] if of_reference else zero + torch.nan
    norms = (all_reduce_sum(torch.stack(sums)).sqrt() / (SCALE * world())).tolist()
    return name, {t: GradientNorms(*norms[2 * n : 2 * n + 2]) for n, t in enumerate(reads)}


def squared_norms(
    loss: Tensor, layers: Sequence[str], edges: Mapping[str, GradientEdge]
) -> dict[str, Tensor]:
    """The squared norm of a loss's gradient at each of the layers that it depends on."""
    if not (loss.requires_grad and layers):
        return {}
    points = [edges[layer] for layer in layers]
    gradients = torch.autograd.grad(loss * SCALE, points, retain_graph=True, allow_unused=True)
    return {n: norm(g) ** 2 for n, g in zip(layers, gradients, strict=True) if g is not None}


def norm(x: Tensor) -> Tensor:
    """The Euclidean norm of all entries, in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    length: Tensor = torch.linalg.vector_norm(x.detach(), dtype=dtype)
    return length


class LossSizes:
    """The mean unweighted value of each loss in the first steps, and its first gradient norm.

    Every process computes the same numbers. A resumed run continues with them.

    Args:
        names: of the losses that are measured.

    Attributes:
        first: the values of the very first batch; empty before, and in a resumed run.
        steps: how many were averaged so far, at most 10.
        gradient_norms: by term.
        reference: the loss whose norm they were compared with; None: they are not measured.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.first: dict[str, float] = {}
        self.steps = 0
        self.gradient_norms: dict[str, GradientNorms] = {}
        self.reference: str | None = None
        self._sums = dict.fromkeys(self.names, 0.0)

    @property
    def complete(self) -> bool:
        """Whether the first steps are over."""
        return self.steps >= FIRST

    def begin(self, losses: Mapping[str, Tensor]) -> None:
        """Store the first batch's values, of this process's part."""
        names = [name for name in self.names if name in losses]
        values = torch.stack([losses[name].detach().float() for name in names])
        self.first = dict(zip(names, gather(values[None]).mean(0).tolist(), strict=True))

    def update(self, values: Mapping[str, float]) -> None:
        """Add a step's values, of all processes; those after the first ten change nothing."""
        if not self.complete:
            self._sums = {n: total + values.get(n, math.nan) for n, total in self._sums.items()}
            self.steps += 1

    def means(self) -> dict[str, float]:
        """The mean values so far; before the end of the first step those of its first batch."""
        if not self.steps:
            return self.first
        means = {name: total / self.steps for name, total in self._sums.items()}
        return {name: mean for name, mean in means.items() if not math.isnan(mean)}

    def table(self, weights: Mapping[str, float]) -> dict[str, dict[str, float | None]]:
        """For each loss its mean value, its weight, and its weighted gradient norm over the task's.

        Args:
            weights: what each loss is multiplied with when it counts.
        """
        rows = dict[str, dict[str, float | None]]()
        for name, mean in self.means().items():
            ratio = 1.0 if name == self.reference else None
            if self.reference is not None and name in self.gradient_norms:
                norms = self.gradient_norms[name]
                reference = norms.reference * weights[self.reference]
                ratio = weights[name] * norms.own / reference if reference > 0 else None
            rows[name] = {"mean": mean, "weight": weights[name], "pull": ratio}
        return rows

    def state(self) -> dict[str, Tensor]:
        """Everything, as tensors."""
        missing = GradientNorms(math.nan, math.nan)
        norms = [self.gradient_norms.get(name, missing) for name in self.names]
        reference = -1 if self.reference is None else self.names.index(self.reference)
        return {
            "sums": torch.tensor(list(self._sums.values()), dtype=torch.float64),
            "counts": torch.tensor([self.steps, reference]),
            "gradient_norms": torch.tensor(
                [[n.own, n.reference] for n in norms], dtype=torch.float64
            ),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned.

        Raises:
            RunError: it is of other losses.
        """
        if len(state["sums"]) != len(self.names):
            raise RunError(
                f"the checkpoint has measured {len(state['sums'])} losses, this run has "
                f"{len(self.names)}; resume with the recipe that the run began with"
            )
        self._sums = dict(zip(self.names, state["sums"].tolist(), strict=True))
        self.steps, reference = state["counts"].tolist()
        self.reference = None if reference < 0 else self.names[reference]
        norms = zip(self.names, state["gradient_norms"].tolist(), strict=True)
        self.gradient_norms = {n: GradientNorms(*pair) for n, pair in norms if pair[0] == pair[0]}
