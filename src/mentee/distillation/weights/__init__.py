"""What each loss weighs in a step: as the row says, when it counts, and how it is balanced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from mentee.distillation.components import look_up
from mentee.distillation.terms import OWN
from mentee.distillation.weights.balance import BALANCES, Balance
from mentee.distillation.weights.gradient_norms import GradientNorms, pulls
from mentee.distillation.weights.loss_sizes import FIRST, LossSizes
from mentee.distillation.weights.ramps import Time, times
from mentee.distillation.weights.teacher_dropout import TeacherDropout
from mentee.methods import Component, Term

__all__ = [
    "BALANCES",
    "FIRST",
    "Balance",
    "GradientNorms",
    "LossSizes",
    "LossWeights",
    "TeacherDropout",
    "Time",
    "pulls",
    "times",
]


class LossWeights(nn.Module):
    """The weights of a bound method.

    Args:
        terms: the summand of the row behind the name of each bound term.
        said: what each loss weighs: the terms, `task`, and the sides' own losses.
        reads: the places of the student that each term reads.
        balance: `none`, `unit`, `uncertainty` or `gradient`. Own losses are never balanced: they
            train what nothing else does.

    Raises:
        MenteeError: there is no such balance.
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        said: Mapping[str, float],
        reads: Mapping[str, Sequence[str]],
        balance: str = "none",
    ) -> None:
        super().__init__()
        self.said = dict(said)
        self.measured = LossSizes([n for n, w in said.items() if w != 0 and not n.startswith(OWN)])
        self.balance = look_up("balance", Component(balance), BALANCES)(self.measured)
        self._terms, self._reads = dict(terms), dict(reads)
        self._times: dict[str, Time] = {}
        self._looked: int | None = None

    def over(self, steps: int) -> None:
        """Set the run's steps; where they are not known, every loss counts whole all the time.

        Args:
            steps: of the whole run.
        """
        self._times = times(list(self.said), self._terms, steps)

    def at(self, step: int) -> dict[str, float]:
        """What each loss weighs in a step, before it is balanced.

        Args:
            step: steps done.
        """
        if not self._times:
            return self.said
        return {name: w * self._times[name].share(step) for name, w in self.said.items()}

    def teacher_is_used(self, step: int) -> bool:
        """Whether the teacher is needed in a step."""
        weights = self.at(step)
        return any(weights[name] for name in self._terms)

    def used(self, step: int | None = None) -> dict[str, float]:
        """What each loss is multiplied with, balance and all.

        Args:
            step: steps done; None: where it counts whole.
        """
        factors, weights = self.balance.factors(), self.said if step is None else self.at(step)
        return {name: w * factors.get(name, 1.0) for name, w in weights.items()}

    def due(self, step: int) -> bool:
        """Whether the pulls are to be measured in a step, for which `look` is called."""
        every = self.balance.every
        again = step == 0 or (every > 0 and step % every == 0)
        return again and step != self._looked and self.teacher_is_used(step)

    def look(
        self, losses: Mapping[str, Tensor], edges: Mapping[str, GradientEdge], step: int
    ) -> None:
        """Measure how hard each term pulls at what it reads of the student.

        Args:
            losses: unweighted, with the graph.
            edges: of the student's places.
            step: steps done.
        """
        self._looked = step
        reads = {name: at for name, at in self._reads.items() if name in losses}
        beside, found = pulls(losses, reads, edges)
        if not self.measured.pulls:
            self.measured.pulls, self.measured.beside = found, beside
        self.balance.see(found, beside)

    def forward(self, losses: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum that is differentiated.

        Args:
            losses: the unweighted value of each.
            step: steps done.
        """
        if not (self.measured.steps or self.measured.first):
            self.measured.begin(losses)
            self.balance.begin()
        return self.balance.total(losses, self.at(step))

    def note(self, values: Mapping[str, float], step: int) -> None:
        """Take in the unweighted values of a step of all processes, after it.

        Args:
            values: of each loss; where the teacher was not heard they say nothing, and are left.
            step: steps done before it.
        """
        if self.teacher_is_used(step) or not self._terms:
            self.measured.note(values)

    def state(self) -> dict[str, Tensor]:
        """What changes while training, beside what is trained."""
        return self.measured.state() | self.balance.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.measured.load(state)
        self.balance.load(state)
