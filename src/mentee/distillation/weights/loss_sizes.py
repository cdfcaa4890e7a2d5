"""What is measured of the losses in a run's first steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mentee.distillation.weights.gradient_norms import GradientNorms
from mentee.errors import RunError
from mentee.parallel import gather

FIRST = 10
"""Steps whose values are averaged."""


class LossSizes:
    """The mean unweighted value of each loss in the first steps, and its pull in the first one.

    Every process comes to the same numbers. A run that goes on goes on with them.

    Args:
        names: of the losses that are measured.

    Attributes:
        first: the values of the very first batch; empty before, and in a run that goes on.
        steps: how many were averaged so far, at most 10.
        pulls: by term.
        beside: the loss whose pull they were compared with; None: they are not measured.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.first: dict[str, float] = {}
        self.steps = 0
        self.pulls: dict[str, GradientNorms] = {}
        self.beside: str | None = None
        self._sums = dict.fromkeys(self.names, 0.0)

    def begin(self, losses: Mapping[str, Tensor]) -> None:
        """Take in the first batch's values, of this process's part."""
        held = [name for name in self.names if name in losses]
        values = torch.stack([losses[name].detach().float() for name in held])
        self.first = dict(zip(held, gather(values[None]).mean(0).tolist(), strict=True))

    def note(self, values: Mapping[str, float]) -> None:
        """Take in a step's values, of all processes; those after the first ten change nothing."""
        if self.steps < FIRST:
            self._sums = {n: total + values.get(n, math.nan) for n, total in self._sums.items()}
            self.steps += 1

    def means(self) -> dict[str, float]:
        """The mean values so far; before the end of the first step those of its first batch."""
        if not self.steps:
            return self.first
        means = {name: total / self.steps for name, total in self._sums.items()}
        return {name: mean for name, mean in means.items() if not math.isnan(mean)}

    def table(self, weights: Mapping[str, float]) -> dict[str, dict[str, float | None]]:
        """For each loss its mean value, its weight, and its weighted pull beside the task's.

        Args:
            weights: what each loss is multiplied with when it counts.
        """
        means, rows = self.means(), dict[str, dict[str, float | None]]()
        for name in means:
            pull = None
            if self.beside is not None and name in self.pulls:
                own, beside = self.pulls[name].own, self.pulls[name].beside * weights[self.beside]
                pull = weights[name] * own / beside if beside > 0 else None
            elif name == self.beside:
                pull = 1.0
            rows[name] = {"mean": means[name], "weight": weights[name], "pull": pull}
        return rows

    def state(self) -> dict[str, Tensor]:
        """Everything, as tensors."""
        nothing = GradientNorms(math.nan, math.nan)
        pulls = [self.pulls.get(name, nothing) for name in self.names]
        beside = -1 if self.beside is None else self.names.index(self.beside)
        return {
            "sums": torch.tensor(list(self._sums.values()), dtype=torch.float64),
            "counts": torch.tensor([self.steps, beside]),
            "pulls": torch.tensor([[p.own, p.beside] for p in pulls], dtype=torch.float64),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave.

        Raises:
            RunError: it is of other losses.
        """
        if len(state["sums"]) != len(self.names):
            raise RunError(
                f"the checkpoint has measured {len(state['sums'])} losses, this run has "
                f"{len(self.names)}; resume with the recipe that the run began with"
            )
        self._sums = dict(zip(self.names, state["sums"].tolist(), strict=True))
        self.steps, beside = state["counts"].tolist()
        self.beside = None if beside < 0 else self.names[beside]
        found = zip(self.names, state["pulls"].tolist(), strict=True)
        self.pulls = {name: GradientNorms(*pair) for name, pair in found if not math.isnan(pair[0])}
