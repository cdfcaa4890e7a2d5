"""Teacher dropout: with several teachers, each example is learned from some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.data.counter_rng import uniform
from mentee.types import Batch, constants, on_device


class TeacherDropout:
    r"""For each example the teacher with the largest loss is active, the others by chance.

    .. math::
        \ell_j(i) = \frac{1}{s_j} \sum_{k \in j} w_k \, loss_k(i), \quad
        m_j(i) = 1 \text{ where } j = \arg\max_u \ell_u(i), \text{ else }
        \mathrm{Bernoulli}(1 - p), \quad
        L = \sum_k w_k \frac{1}{b} \sum_i \frac{m_{j(k)}(i)}{\sum_u s_u m_u(i)} \, loss_k(i)

    j are the teachers, s_j their shares (they sum to 1, and are in w_k already), k the terms. The
    active teachers share the weight of the others. A loss that is one number for the whole batch
    counts as that number for each example. The draws depend on the seed, the step, the teacher's
    name and the example's id alone: a resumed run draws the same ones, and so do several processes.

    Args:
        rate: p, how often a teacher is dropped, in [0, 1).
        shares: s_j by teacher.
        teacher_of: the teacher of each term, by its name.
        seed: of the draws.

    Source: Sariyildiz et al. 2024, UNIC (arXiv:2408.05088), there with equal shares.
    """

    def __init__(
        self, rate: float, shares: Mapping[str, float], teacher_of: Mapping[str, str], seed: int = 0
    ) -> None:
        self.rate, self.shares = rate, dict(shares)
        self.teacher_of, self.seed = dict(teacher_of), seed

    def __call__(
        self, values: Mapping[str, Tensor], weights: Mapping[str, Any], batch: Batch, step: int
    ) -> dict[str, Tensor]:
        """The values of each term, multiplied by m / Σ s m of its teacher.

        Args:
            values: of each term: `[b]`, or one number for the whole batch.
            weights: w_k, numbers of the host or the device.
            batch: of these examples.
            step: steps done.

        Returns:
            `[b]` of each term; the mean is the term's value.
        """
        count = len(batch)
        each = {name: per_example(value, count) for name, value in values.items()}
        teachers = [name for name in self.shares if name in {self.teacher_of[k] for k in each}]
        with torch.no_grad():
            losses = torch.stack(
                [
                    sum(
                        (weights[k] * v for k, v in each.items() if self.teacher_of[k] == name),
                        start=torch.zeros_like(next(iter(each.values()))),
                    )
                    / self.shares[name]
                    for name in teachers
                ]
            )
            active = on_device(self._drawn(teachers, batch, step), losses.device) | (
                torch.arange(len(teachers), device=losses.device)[:, None] == losses.argmax(0)
            )
            shares = constants([self.shares[name] for name in teachers], losses)[:, None]
            factors = active / (shares * active).sum(0)
        by_teacher = dict(zip(teachers, factors, strict=True))
        return {name: value * by_teacher[self.teacher_of[name]] for name, value in each.items()}

    def _drawn(self, teachers: Sequence[str], batch: Batch, step: int) -> Tensor:
        """`[teachers b]`, true where a teacher is active by chance."""
        ids = batch.ids.numpy()
        draws = np.stack([uniform(self.seed, ids, "drop", name, step) for name in teachers])
        return torch.from_numpy(draws >= self.rate)


def per_example(value: Tensor, count: int) -> Tensor:
    """`[count]`; one number for the whole batch counts for each example."""
    return value if value.shape == (count,) else value.mean().expand(count)
