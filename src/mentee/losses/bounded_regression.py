"""Regression with an upper bound: the student is corrected where its teacher is better."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mentee.losses.batch_statistics import check_alike, full


def bounded_regression(
    student: Float[Tensor, "b k"],
    teacher: Float[Tensor, "b k"],
    *,
    labels: Float[Tensor, "b k"],
    mask: Bool[Tensor, "b k"] | None = None,
    margin: float = 0.0,
) -> Float[Tensor, " b"]:
    r"""The student's squared error, where it is not better than the teacher's by a margin.

    .. math::
        \ell_i = \begin{cases}
            e_i^s & \text{where } e_i^s + m > e_i^t \\ 0 & \text{else}
        \end{cases}, \quad
        e_i = \frac{1}{\sum_c m_{ic}} \sum_c m_{ic} (x_{ic} - y_{ic})^2

    The teacher says how good is good enough, never in which direction to go: that say the labels.

    Args:
        student: outputs, `[b, k]`.
        teacher: outputs of the same targets, in the same units; no gradient reaches it.
        labels: targets in the units of the outputs, `[b, k]`.
        mask: `[b, k]`, true where a target is known; None: all are.
        margin: m, a squared error in the units of the outputs.

    Returns:
        One loss per example, `[b]`; 0 where no target is known.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b k). Source: Chen et al. 2017, Learning Efficient Object Detection Models with
    Knowledge Distillation, equation 5; the mean over the targets here, their sum there.

    Example:
        >>> y, teacher = torch.zeros(2, 1), torch.tensor([[1.0], [1.0]])
        >>> bounded_regression(torch.tensor([[2.0], [0.5]]), teacher, labels=y).tolist()
        [4.0, 0.0]
    """
    check_alike("bounded_regression", student, teacher)
    check_alike("bounded_regression", student, labels)
    known = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
    count = known.sum(1).clamp(min=1)

    def error(outputs: Tensor) -> Tensor:
        squares = torch.where(known, full(outputs) - full(labels), 0.0).square()
        return squares.sum(1) / count

    own, bound = error(student), error(teacher.detach())
    return torch.where(own + margin > bound, own, 0.0)
