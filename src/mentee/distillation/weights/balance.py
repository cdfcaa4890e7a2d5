"""How losses of unlike size are brought together, where a recipe asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mentee.distillation.weights.gradient_norms import GradientNorms
from mentee.distillation.weights.loss_sizes import LossSizes
from mentee.errors import PairError

EVERY = 20
"""Steps from one measurement of the pulls to the next."""
REMEMBERED = 10
"""Measurements that a mean ratio is of, about."""
LEAST = 0.01
"""Share of its first size below which a loss, or a gradient, counts as no smaller."""


class Balance(nn.Module):
    r"""None: a loss weighs what its row says.

    .. math:: L = \sum_k w_k L_k

    Args:
        measured: what is measured of the losses that are balanced.

    Attributes:
        every: steps from one measurement of the pulls to the next; 0: only in the first step.
    """

    every = 0

    def __init__(self, measured: LossSizes) -> None:
        super().__init__()
        self.measured = measured

    def begin(self) -> None:
        """The first batch was measured, and nothing was made of it yet."""

    def see(self, pulls: Mapping[str, GradientNorms], beside: str) -> None:
        """Take in the pulls of a batch."""

    def factors(self) -> dict[str, float]:
        """What each balanced loss is multiplied with beside its weight."""
        return {}

    def total(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """What is differentiated."""
        factors = self.factors()
        parts = [weights[name] * factors.get(name, 1.0) * value for name, value in losses.items()]
        return torch.stack(parts).sum()

    def state(self) -> dict[str, Tensor]:
        """What changes while training, beside what is trained."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""


def check_positive(values: Mapping[str, float], kind: str) -> None:
    """Refuse a loss that has no size to be divided by."""
    for name, value in values.items():
        if value <= 0:
            raise PairError(
                f"{name} is {value:g} at the beginning, and balance {kind} divides by it; say "
                "method.balance: gradient, or none with a weight of your own"
            )


class Unit(Balance):
    r"""Each loss is divided by its mean value in the first steps, for ever.

    .. math:: L = \sum_k w_k L_k / \overline{L_k}
    """

    def factors(self) -> dict[str, float]:
        """1 over the mean values so far."""
        means = self.measured.means()
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

    def __init__(self, measured: LossSizes) -> None:
        super().__init__(measured)
        self.log_scales = nn.Parameter(torch.zeros(len(measured.names)))
        self.register_buffer("least", torch.zeros(len(measured.names)))

    @torch.no_grad()
    def begin(self) -> None:
        """Set the scales to the first batch's values; refuse one that is 0 or below."""
        first = self.measured.first
        check_positive(first, "uncertainty")
        begun = [math.log(first.get(name, 1.0)) for name in self.measured.names]
        self.log_scales.copy_(torch.tensor(begun))
        self.least.copy_(self.log_scales + math.log(LEAST))

    def factors(self) -> dict[str, float]:
        """1 over the scales as they are now."""
        scales = self.log_scales.detach().neg().exp().tolist()
        return dict(zip(self.measured.names, scales, strict=True))

    def total(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """What is differentiated; a side's own loss stays as it is."""
        with torch.no_grad():
            self.log_scales.clamp_(min=self.least)
        logs = dict(zip(self.measured.names, self.log_scales.unbind(), strict=True))
        parts = [
            weights[name] * ((-logs[name]).exp() * value + logs[name] if name in logs else value)
            for name, value in losses.items()
        ]
        return torch.stack(parts).sum()


class Gradient(Balance):
    r"""Each term pulls at what it reads of the student w_k times as hard as the task does there.

    .. math:: L = w_{task} L_{task} + \sum_k w_k e^{r_k} L_k, \quad
              r_k = \mathrm{mean} \log \frac{\lVert \nabla_{S_k} L_{task} \rVert}
              {\lVert \nabla_{S_k} L_k \rVert}

    The lengths are measured every 20 steps, on the step's batch; the mean is of the first ten
    measurements and then a running one over about as many. A gradient shorter than a hundredth of
    its first length counts as that long: a term that is satisfied is not blown up.

    Source: after GradNorm (Chen et al. 2018, arXiv:1711.02257), without its rates of learning.
    """

    every = EVERY

    def __init__(self, measured: LossSizes) -> None:
        super().__init__(measured)
        self._ratios = dict.fromkeys(measured.names, 0.0)
        self._seen = dict.fromkeys(measured.names, 0)

    def see(self, pulls: Mapping[str, GradientNorms], beside: str) -> None:
        """Take the ratios into their means."""
        for name, pull in pulls.items():
            if math.isnan(pull.beside):
                raise PairError(
                    f"balance gradient compares {name} with {beside} where it reads the student, "
                    f"and {beside} does not depend on that place; say method.balance: unit"
                )
            first = self.measured.pulls[name]
            own, other = max(pull.own, LEAST * first.own), max(pull.beside, LEAST * first.beside)
            if own > 0 and other > 0 and math.isfinite(own) and math.isfinite(other):
                self._seen[name] += 1
                gap = math.log(other / own) - self._ratios[name]
                self._ratios[name] += gap / min(self._seen[name], REMEMBERED)

    def factors(self) -> dict[str, float]:
        """The mean ratios; 1 for what was not measured yet, and for the task."""
        return {name: math.exp(ratio) for name, ratio in self._ratios.items()}

    def state(self) -> dict[str, Tensor]:
        """The means and of how many measurements they are."""
        return {
            "ratios": torch.tensor(list(self._ratios.values()), dtype=torch.float64),
            "seen": torch.tensor(list(self._seen.values())),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        names = self.measured.names
        self._ratios = dict(zip(names, state["ratios"].tolist(), strict=True))
        self._seen = dict(zip(names, state["seen"].tolist(), strict=True))


BALANCES: dict[str, type[Balance]] = {
    "none": Balance,
    "unit": Unit,
    "uncertainty": Uncertainty,
    "gradient": Gradient,
}
"""Every way to balance losses, by name."""
