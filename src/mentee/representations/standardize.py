"""Logits by their z-scores: what an example's classes say of one another, without its scale."""

from __future__ import annotations

import torch
from torch import Tensor

from mentee.errors import PairError
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.unit_norm import SHORTEST


def standardized(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    r"""Each example's entries minus their mean, divided by their deviation, on both sides.

    .. math:: \tilde z_{ic} = \frac{z_{ic} - \bar z_i}{\sigma_i + 10^{-7}}, \quad
              \sigma_i^2 = \frac{1}{k - 1} \sum_c (z_{ic} - \bar z_i)^2

    So the student need not have the teacher's confidence. A deviation below 1e-3 counts as 1e-3,
    which bounds the slope.

    Args:
        student: `(k,)`, k at least 2.
        teacher: the same of the teacher.

    Returns:
        The student's side and the teacher's.

    Raises:
        PairError: a side says no vector of at least two entries.

    Memory: O(b k). Source: Sun et al. 2024 (arXiv:2403.01427).

    Example:
        >>> s, t = standardized((3,), (3,))
        >>> [round(v, 4) for v in s(torch.tensor([[1.0, 2.0, 3.0]]))[0].tolist()]
        [-1.0, 0.0, 1.0]
    """
    for name, shape in (("student", student), ("teacher", teacher)):
        if len(shape) != 1 or shape[0] < 2:
            raise PairError(
                f"standardized: the {name} says {shape} an example, expected a vector of at least "
                "2 entries, such as logits"
            )
    return Standardized(), Standardized()


class Standardized(Adapter):
    """One side of `standardized`; there is nothing in it."""

    def forward(self, precomputed: Tensor) -> Tensor:
        """The z-scores, `[b, k]`."""
        x = (
            precomputed.float()
            if precomputed.dtype in (torch.float16, torch.bfloat16)
            else precomputed
        )
        deviation = x.var(-1, keepdim=True).clamp(min=SHORTEST**2).sqrt()
        said: Tensor = (x - x.mean(-1, keepdim=True)) / (deviation + 1e-7)
        return said.to(precomputed.dtype)
