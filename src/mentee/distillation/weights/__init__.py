"""The weight of each loss in a step: of the method, by its schedule, and balanced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from mentee.distillation.terms import AUX, look_up
from mentee.distillation.weights.balance import BALANCES, Balance
from mentee.distillation.weights.measurement import (
    FIRST,
    GradientNorms,
    LossSizes,
    measure_gradient_norms,
)
from mentee.distillation.weights.teacher_dropout import TeacherDropout
from mentee.methods import Component, Term

__all__ = [
    "AUX",
    "BALANCES",
    "FIRST",
    "Balance",
    "GradientNorms",
    "LossSizes",
    "LossWeights",
    "Ramp",
    "TeacherDropout",
    "measure_gradient_norms",
    "ramps",
]


@dataclass(frozen=True)
class Ramp:
    """When a loss counts.

    Attributes:
        start: steps done before the first one in which it counts.
        stop: steps done before the first one in which it counts no more; None: there is none.
        length: over how many steps its weight grows linearly from 0.
    """

    start: int = 0
    stop: int | None = None
    length: int = 0

    def factor(self, step: int) -> float:
        """What its weight is multiplied with in a step; `step` steps are done.

        Example:
            >>> [Ramp(start=2, length=4).factor(step) for step in (1, 2, 3, 5, 6)]
            [0.0, 0.25, 0.5, 1.0, 1.0]
        """
        if step < self.start or (self.stop is not None and step >= self.stop):
            return 0.0
        return min(1.0, (step - self.start + 1) / self.length) if self.length else 1.0


def ramps(names: Sequence[str], terms: Mapping[str, Term], steps: int) -> dict[str, Ramp]:
    """When each loss of a run counts.

    Args:
        names: of all losses.
        terms: the term of the method behind the name of each bound term.
        steps: of the whole run.

    Returns:
        By name; empty where every loss counts whole all the time.
    """
    warmups = {name: round(term.exclusive_warmup * steps) for name, term in terms.items()}
    end = max(warmups.values(), default=0)
    schedule = {}
    for name in names:
        term, stop = terms.get(name), warmups.get(name, 0)
        start = 0 if stop or name.startswith(AUX) else end
        schedule[name] = Ramp(start, stop or None, round(term.ramp * steps) if term else 0)
    return schedule if any(ramp != Ramp() for ramp in schedule.values()) else {}


class LossWeights(nn.Module):
    """The weights of a bound method.

    Args:
        terms: the term of the method behind the name of each bound term.
        base: the weight of each loss: the terms, `task`, and the adapters' auxiliary losses.
        reads: the student's layers that each term reads.
        balance: `none`, `unit`, `uncertainty` or `gradient`. Auxiliary losses are never balanced:
            they train what nothing else does.

    Raises:
        MenteeError: there is no such balance.
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        base: Mapping[str, float],
        reads: Mapping[str, Sequence[str]],
        balance: str = "none",
    ) -> None:
        super().__init__()
        self.base = dict(base)
        self.loss_sizes = LossSizes([n for n, w in base.items() if w and not n.startswith(AUX)])
        self.balance = look_up("balance", Component(balance), BALANCES)(self.loss_sizes)
        self._terms, self._reads = dict(terms), dict(reads)
        self._ramps: dict[str, Ramp] = {}
        self._last_measured: int | None = None

    def set_total_steps(self, steps: int) -> None:
        """Fix the schedule; before that, every loss counts whole all the time."""
        self._ramps = ramps(list(self.base), self._terms, steps)

    def scheduled(self, step: int) -> dict[str, float]:
        """The weight of each loss after `step` steps, before it is balanced."""
        if not self._ramps:
            return self.base
        return {name: w * self._ramps[name].factor(step) for name, w in self.base.items()}

    def teacher_is_used(self, step: int) -> bool:
        """Whether the teacher is needed in a step."""
        weights = self.scheduled(step)
        return any(weights[name] for name in self._terms)

    def effective(self, step: int | None = None) -> dict[str, float]:
        """What each loss is multiplied with, balance included.

        Args:
            step: steps done; None: where it counts whole.
        """
        factors = self.balance.factors()
        weights = self.base if step is None else self.scheduled(step)
        return {name: w * factors.get(name, 1.0) for name, w in weights.items()}

    def effective_there(self, step: int) -> dict[str, float | Tensor]:
        """The same in a step, without reading anything from a device."""
        factors = self.balance.factors_there()
        return {name: w * factors.get(name, 1.0) for name, w in self.scheduled(step).items()}

    def should_measure(self, step: int) -> bool:
        """Whether `measure_gradients` is to be called in a step."""
        every = self.balance.every
        due = step == 0 or (every > 0 and step % every == 0)
        return due and step != self._last_measured and self.teacher_is_used(step)

    def measure_gradients(
        self, losses: Mapping[str, Tensor], edges: Mapping[str, GradientEdge], step: int
    ) -> None:
        """Measure the gradient norm of each term at the student's features that it reads.

        Args:
            losses: unweighted, with the graph.
            edges: of the student's layers.
            step: steps done.
        """
        self._last_measured = step
        reads = {name: layers for name, layers in self._reads.items() if name in losses}
        reference, norms = measure_gradient_norms(losses, reads, edges)
        if not self.loss_sizes.gradient_norms:
            self.loss_sizes.gradient_norms, self.loss_sizes.reference = norms, reference
        self.balance.update(norms, reference)

    def forward(self, losses: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum of unweighted losses, which is differentiated."""
        if not (self.loss_sizes.steps or self.loss_sizes.first):
            self.loss_sizes.begin(losses)
            self.balance.begin()
        return self.balance.total(losses, self.scheduled(step))

    def is_measured(self, step: int) -> bool:
        """Whether the sizes of the losses are measured in a step."""
        return not self.loss_sizes.complete and (self.teacher_is_used(step) or not self._terms)

    def update(self, values: Mapping[str, float], step: int) -> None:
        """Add the unweighted values of a step of all processes, after it.

        Args:
            values: of each loss; where the teacher was not used they are left out.
            step: steps done before it.
        """
        if self.is_measured(step):
            self.loss_sizes.update(values)

    def state(self) -> dict[str, Tensor]:
        """What changes while training, beyond the parameters."""
        return self.loss_sizes.state() | self.balance.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
        self.loss_sizes.load(state)
        self.balance.load(state)
