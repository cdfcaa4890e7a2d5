"""Transformed teacher matching: only the teacher is softened, by a power."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import check_positive, full


def ttm(
    student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"], *, power: float = 0.1
) -> Float[Tensor, " b"]:
    r"""The student's distribution, as it is, follows the teacher's raised to a power.

    .. math:: \ell_i = \sum_c p_{ic} (\log p_{ic} - \log q_{ic}), \quad
              p = \mathrm{softmax}(\gamma z^t), \; q = \mathrm{softmax}(z^s)

    Raising probabilities to the power gamma is a temperature of 1 / gamma on the teacher's side.

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.
        power: gamma > 0; published: 0.1 to 0.6.

    Returns:
        One loss per example, `[b]`; 0 where the two distributions are equal.

    Raises:
        MenteeError: the power is not positive.

    Memory: O(b k). Source: Zheng, Yang 2024 (arXiv:2402.11148).

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 2.0, 3.0]])
        >>> ttm(z / 2, z, power=0.5).item()
        0.0
    """
    check_positive("ttm", "power", power)
    log_q, log_p = F.log_softmax(full(student), 1), F.log_softmax(power * full(teacher.detach()), 1)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def wttm(
    student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"], *, power: float = 0.2
) -> Float[Tensor, " b"]:
    r"""The same, each example weighed by how smooth the teacher's distribution is.

    .. math:: \ell_i = U_i \, \ell^{ttm}_i, \quad U_i = \sum_c \mathrm{softmax}(z^t_i)_c^\gamma

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.
        power: gamma > 0.

    Returns:
        One loss per example, `[b]`; 0 where the two distributions are equal.

    Raises:
        MenteeError: the power is not positive.

    Memory: O(b k). Source: Zheng, Yang 2024 (arXiv:2402.11148).

    Example:
        >>> import torch
        >>> z = torch.tensor([[0.0, 0.0, 40.0]])  # a sure teacher weighs 1, an unsure one more
        >>> round((wttm(-z, z, power=1.0) / ttm(-z, z, power=1.0)).item(), 4)
        1.0
    """
    check_positive("wttm", "power", power)
    smoothness = (power * F.log_softmax(full(teacher.detach()), 1)).exp().sum(1)
    return smoothness * ttm(student, teacher, power=power)
