"""Several teachers, of whom not every one is heard of every example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mentee.data.counter_rng import uniform
from mentee.types import Batch


class TeacherDropout:
    r"""Of each example the teacher that the student follows least is heard, others by chance.

    .. math::
        \ell_j(i) = \frac{1}{s_j} \sum_{k \in j} w_k \, agree_k(i), \quad
        m_j(i) = 1 \text{ where } j = \arg\max_u \ell_u(i), \text{ else }
        \mathrm{Bernoulli}(1 - p), \quad
        L = \sum_k w_k \frac{1}{b} \sum_i \frac{m_{j(k)}(i)}{\sum_u s_u m_u(i)} \, agree_k(i)

    j are the teachers, s_j their shares (they sum to 1, and are in w_k already), k the terms. Who
    is heard shares the weight of who is not. An agreement that says one number of a whole batch
    says it of each example. The draws follow the seed, the step, the teacher's name and the
    example's id: a run that is resumed goes on with the same ones, and several processes draw what
    one does.

    Args:
        share: p, of the times that a teacher is not heard, in [0, 1).
        shares: s_j by teacher.
        whose: the teacher of each term.
        seed: of the draws.

    Source: Sariyildiz et al. 2024, UNIC (arXiv:2408.05088), there with equal shares.
    """

    def __init__(
        self, share: float, shares: Mapping[str, float], whose: Mapping[str, str], seed: int = 0
    ) -> None:
        self.share, self.shares = share, dict(shares)
        self.whose, self.seed = dict(whose), seed

    def __call__(
        self, values: Mapping[str, Tensor], weights: Mapping[str, float], batch: Batch, step: int
    ) -> dict[str, Tensor]:
        """The values of an example count as often as its teachers are heard.

        Args:
            values: of each term: `[b]`, or one number of the whole batch.
            weights: w_k.
            batch: whose examples they are.
            step: steps done.

        Returns:
            `[b]` of each term; the mean is the term's value.
        """
        count = len(batch)
        each = {name: per_example(value, count) for name, value in values.items()}
        teachers = [name for name in self.shares if name in {self.whose[k] for k in each}]
        with torch.no_grad():
            losses = torch.stack(
                [
                    sum(
                        (weights[k] * v for k, v in each.items() if self.whose[k] == name),
                        start=torch.zeros_like(next(iter(each.values()))),
                    )
                    / self.shares[name]
                    for name in teachers
                ]
            )
            heard = self._drawn(teachers, batch, step).to(losses.device) | (
                torch.arange(len(teachers), device=losses.device)[:, None] == losses.argmax(0)
            )
            shares = losses.new_tensor([self.shares[name] for name in teachers])[:, None]
            factors = heard / (shares * heard).sum(0)
        rows = {name: factors[number] for number, name in enumerate(teachers)}
        return {name: value * rows[self.whose[name]] for name, value in each.items()}

    def _drawn(self, teachers: Sequence[str], batch: Batch, step: int) -> Tensor:
        """`[teachers b]`, true where one is heard by chance."""
        ids = batch.ids.cpu().numpy()
        draws = np.stack([uniform(self.seed, ids, "drop", name, step) for name in teachers])
        return torch.from_numpy(draws >= self.share)


def per_example(value: Tensor, count: int) -> Tensor:
    """A value for each of `count` examples; one of them all is of each."""
    return value if value.shape == (count,) else value.mean().expand(count)
