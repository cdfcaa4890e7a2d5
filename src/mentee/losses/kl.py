"""Soft targets: Kullback-Leibler divergence of softened class distributions."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError


def kl(
    student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"], *, temperature: float = 4.0
) -> Float[Tensor, " b"]:
    r"""Knowledge distillation: the student's softened distribution follows the teacher's.

    .. math:: \ell_i = T^2 \sum_c p_{ic} (\log p_{ic} - \log q_{ic}), \quad
              p = \mathrm{softmax}(z^t / T), \; q = \mathrm{softmax}(z^s / T)

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.
        temperature: T > 0; T² keeps the size of the gradient when T changes.

    Returns:
        One loss per example, `[b]`; 0 where the two distributions are equal.

    Raises:
        MenteeError: the temperature is not positive.

    Memory: O(b k). Source: Hinton, Vinyals, Dean 2015 (arXiv:1503.02531).

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 2.0, 3.0]])
        >>> kl(z, z).item()
        0.0
    """
    if not temperature > 0:
        raise MenteeError(f"kl: temperature is {temperature}, expected a number above 0")
    log_q = F.log_softmax(student / temperature, dim=1)
    log_p = F.log_softmax(teacher.detach() / temperature, dim=1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1)
