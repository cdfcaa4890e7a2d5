"""Soft targets in two parts: the class of the label, and the others among themselves."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import check_positive, full


def dkd(
    student: Float[Tensor, "b k"],
    teacher: Float[Tensor, "b k"],
    *,
    labels: Int[Tensor, " b"],
    temperature: float = 4.0,
    alpha: float = 1.0,
    beta: float = 8.0,
) -> Float[Tensor, " b"]:
    r"""Decoupled distillation: is it the label's class, and which of the others is it like?

    .. math:: \ell_i = T^2 \bigl( \alpha \, KL(b^t_i, b^s_i) + \beta \, KL(\hat p_i, \hat q_i)
              \bigr), \quad b = (p_y, 1 - p_y), \; \hat p_c = p_c / (1 - p_y)

    with p the softmax of the teacher's logits over T, q of the student's. All in logarithms, so
    that it is finite at any gap of logits.

    Args:
        student: logits `[b, k]`, k at least 2.
        teacher: logits `[b, k]`; no gradient reaches them.
        labels: class numbers y.
        temperature: T > 0.
        alpha: weight of the label's class; published: 1.
        beta: weight of the others; published: 2 to 8, more for a teacher that is sure.

    Returns:
        One loss per example, `[b]`; 0 where the two distributions are equal.

    Raises:
        MenteeError: the temperature is not positive, or there is one class only.

    Memory: O(b k). Source: Zhao et al. 2022 (arXiv:2203.08679).

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 2.0, 3.0]])
        >>> dkd(z, z, labels=torch.tensor([1])).item()
        0.0
    """
    check_positive("dkd", "temperature", temperature)
    yes_s, no_s, others_s = _split("dkd", full(student) / temperature, labels)
    yes_t, no_t, others_t = _split("dkd", full(teacher.detach()) / temperature, labels)
    target = yes_t.exp() * (yes_t - yes_s) + no_t.exp() * (no_t - no_s)
    others = _share(others_t, labels) * (others_t - others_s)
    return temperature**2 * (alpha * target + beta * others.sum(1))


def nkd(
    student: Float[Tensor, "b k"],
    teacher: Float[Tensor, "b k"],
    *,
    labels: Int[Tensor, " b"],
    temperature: float = 1.0,
    gamma: float = 1.5,
) -> Float[Tensor, " b"]:
    r"""Normalized distillation: cross-entropies of the label's class and of the others.

    .. math:: \ell_i = - p_y \log q_y - \gamma T^2 \sum_{c \ne y} \hat p_c \log \hat q_c

    with p and q at temperature 1, and :math:`\hat p, \hat q` the softmax over the other classes
    alone at T.

    Args:
        student: logits `[b, k]`, k at least 2.
        teacher: logits `[b, k]`; no gradient reaches them.
        labels: class numbers y.
        temperature: T > 0, of the others.
        gamma: weight of the others.

    Returns:
        One loss per example, `[b]`; not 0 where the two are equal, as a cross-entropy is not.

    Raises:
        MenteeError: the temperature is not positive, or there is one class only.

    Memory: O(b k). Source: Yang et al. 2023 (arXiv:2303.13005).

    Example:
        >>> import torch
        >>> z = torch.zeros(1, 2)
        >>> round(nkd(z, z, labels=torch.tensor([0])).item(), 4)  # log(2) / 2
        0.3466
    """
    check_positive("nkd", "temperature", temperature)
    s, t = full(student), full(teacher.detach())
    *_, others_s = _split("nkd", s / temperature, labels)
    *_, others_t = _split("nkd", t / temperature, labels)
    others = (_share(others_t, labels) * others_s).sum(1)
    yes_s, yes_t = (z.log_softmax(1).gather(1, labels.long()[:, None])[:, 0] for z in (s, t))
    return -yes_t.exp() * yes_s - gamma * temperature**2 * others


def _split(name: str, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(log p_y `[b]`, log(1 - p_y) `[b]`, the others' log p / (1 - p_y) `[b, k]`, 0 at y)."""
    if z.shape[1] < 2:
        raise MenteeError(f"{name}: there is one class, expected at least 2")
    own = F.one_hot(labels.long(), z.shape[1]).bool()
    others = z.masked_fill(own, -float("inf"))
    whole, rest = z.logsumexp(1), others.logsumexp(1)
    yes = z.gather(1, labels.long()[:, None])[:, 0] - whole
    return yes, rest - whole, (others - rest[:, None]).masked_fill(own, 0.0)


def _share(others: Tensor, labels: Tensor) -> Tensor:
    """The others' probabilities among themselves, 0 at the label's class."""
    return others.exp().masked_fill(F.one_hot(labels.long(), others.shape[1]).bool(), 0.0)
