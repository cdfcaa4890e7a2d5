"""Balances: how losses of different sizes are weighed against one another (method.balance)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mentee.distillation.weights.measurement import GradientNorms, LossSizes
from mentee.errors import PairError

EVERY = 20
"""Steps from one measurement of the gradient norms to the next."""
REMEMBERED = 10
"""About how many measurements a mean ratio averages."""
LEAST = 0.01
"""Share of its first size below which a loss, or a gradient, counts as no smaller."""


class Balance(nn.Module):
    r"""None: the weights of the method as they are.

    .. math:: L = \sum_k w_k L_k

    Args:
        loss_sizes: the sizes and gradient norms of the losses that are balanced.

    Attributes:
        every: steps from one measurement of the gradient norms to the next; 0: only the first step.
    """

    every = 0

    def __init__(self, loss_sizes: LossSizes) -> None:
        super().__init__()
        self.loss_sizes = loss_sizes

    def begin(self) -> None:
        """Called once, after the first batch was measured and before its sum."""

    def update(self, gradient_norms: Mapping[str, GradientNorms], reference: str) -> None:
        """Called with the gradient norms of a batch."""

    def factors(self) -> dict[str, float]:
        """What each balanced loss is multiplied with, besides its weight."""
        return {}

    def factors_there(self) -> Mapping[str, float | Tensor]:
        """The same without reading them from a device."""
        return self.factors()

    def total(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """The weighted sum that is differentiated."""
        factors = self.factors()
        parts = [weights[name] * factors.get(name, 1.0) * value for name, value in losses.items()]
        return torch.stack(parts).sum()

    def state(self) -> dict[str, Tensor]:
        """What changes while training, beyond the parameters."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""


def check_positive(values: Mapping[str, float], kind: str) -> None:
    """Refuse a loss of 0 or below, by which nothing can be divided."""
    for name, value in values.items():
        if value <= 0:
            raise PairError(
                f"{name} is {value:g} at the beginning, and balance {kind} divides by it; set "
                "method.balance: gradient, or none with a weight of your own"
            )


class Unit(Balance):
    r"""Each loss is divided by its mean value in the first steps.

    .. math:: L = \sum_k w_k L_k / \overline{L_k}
    """

    def factors(self) -> dict[str, float]:
        """1 over the mean values so far."""
        means = self.loss_sizes.means()
        check_positive(means, "unit")
        return {name: 1 / mean for name, mean in means.items()}


class Uncertainty(Balance):
    r"""Each loss is divided by a trained scale, whose logarithm is added.

    .. math:: L = \sum_k w_k ( e^{-s_k} L_k + s_k )

    At the best s_k, log L_k, a loss counts by its logarithm: w_k is its share, whatever its unit.
    s_k begins at the logarithm of the first batch's value, and goes no lower than that of a
    hundredth of it: a loss that is nearly 0 is not blown up. Times 1/2 this is the paper's form for
    squared errors, here of all losses; for cross-entropies the paper has s_k / 2 in place of s_k.

    Source: Kendall, Gal, Cipolla 2018 (arXiv:1705.07115).
    """

    least: Tensor

    def __init__(self, loss_sizes: LossSizes) -> None:
        super().__init__(loss_sizes)
        self.log_scales = nn.Parameter(torch.zeros(len(loss_sizes.names)))
        self.register_buffer("least", torch.zeros(len(loss_sizes.names)))

    @torch.no_grad()
    def begin(self) -> None:
        """Set the scales to the first batch's values; refuse one that is 0 or below."""
        first = self.loss_sizes.first
        check_positive(first, "uncertainty")
        logs = [math.log(first.get(name, 1.0)) for name in self.loss_sizes.names]
        self.log_scales.copy_(torch.tensor(logs))
        self.least.copy_(self.log_scales + math.log(LEAST))

    def factors(self) -> dict[str, float]:
        """1 over the scales as they are now."""
        scales = self.log_scales.detach().neg().exp().tolist()
        return dict(zip(self.loss_sizes.names, scales, strict=True))

    def factors_there(self) -> Mapping[str, float | Tensor]:
        """The same, where the scales are."""
        scales = self.log_scales.detach().neg().exp().unbind()
        return dict(zip(self.loss_sizes.names, scales, strict=True))

    def total(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """The weighted sum; an auxiliary loss stays as it is."""
        with torch.no_grad():
            self.log_scales.clamp_(min=self.least)
        logs = dict(zip(self.loss_sizes.names, self.log_scales.unbind(), strict=True))
        parts = [
            weights[name] * ((-logs[name]).exp() * value + logs[name] if name in logs else value)
            for name, value in losses.items()
        ]
        return torch.stack(parts).sum()


class Gradient(Balance):
    r"""Each term has w_k times the gradient norm of the task, at the student's features it reads.

    .. math:: L = w_{task} L_{task} + \sum_k w_k e^{r_k} L_k, \quad
              r_k = \mathrm{mean} \log \frac{\lVert \nabla_{S_k} L_{task} \rVert}
              {\lVert \nabla_{S_k} L_k \rVert}

    The norms are measured every 20 steps, on the step's batch; the mean is of the first ten
    measurements and then a running one over about as many. A gradient norm below a hundredth
    of its first value counts as that hundredth: a term that is satisfied is not blown up.

    Source: after GradNorm (Chen et al. 2018, arXiv:1711.02257), without its rates of learning.
    """

    every = EVERY

    def __init__(self, loss_sizes: LossSizes) -> None:
        super().__init__(loss_sizes)
        self._ratios = dict.fromkeys(loss_sizes.names, 0.0)
        self._counts = dict.fromkeys(loss_sizes.names, 0)

    def update(self, gradient_norms: Mapping[str, GradientNorms], reference: str) -> None:
        """Add the ratios to their means."""
        for name, norms in gradient_norms.items():
            if math.isnan(norms.reference):
                raise PairError(
                    f"balance gradient compares {name} with {reference} at a layer of the student "
                    f"that {reference} does not depend on; set method.balance: unit"
                )
            first = self.loss_sizes.gradient_norms[name]
            own = max(norms.own, LEAST * first.own)
            other = max(norms.reference, LEAST * first.reference)
            if own > 0 and other > 0 and math.isfinite(own) and math.isfinite(other):
                self._counts[name] += 1
                gap = math.log(other / own) - self._ratios[name]
                self._ratios[name] += gap / min(self._counts[name], REMEMBERED)

    def factors(self) -> dict[str, float]:
        """The mean ratios; 1 for the task, and before the first measurement."""
        return {name: math.exp(ratio) for name, ratio in self._ratios.items()}

    def state(self) -> dict[str, Tensor]:
        """The means, and how many measurements each averages."""
        return {
            "ratios": torch.tensor(list(self._ratios.values()), dtype=torch.float64),
            "seen": torch.tensor(list(self._counts.values())),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
        names = self.loss_sizes.names
        self._ratios = dict(zip(names, state["ratios"].tolist(), strict=True))
        self._counts = dict(zip(names, state["seen"].tolist(), strict=True))


BALANCES: dict[str, type[Balance]] = {
    "none": Balance,
    "unit": Unit,
    "uncertainty": Uncertainty,
    "gradient": Gradient,
}
"""Every way to balance losses, by name."""
