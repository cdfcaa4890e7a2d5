"""Knowledge distillation and its variants: how the student's logits follow the teacher's."""

from __future__ import annotations

import math

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import check_alike, check_positive, full


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


def hard_label(student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    r"""Cross-entropy with the class that the teacher says.

    .. math:: \ell_i = - \log q_{i, y^t_i}, \quad y^t_i = \arg\max_c z^t_{ic}, \;
              q = \mathrm{softmax}(z^s)

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b k). Source: DeiT, Touvron et al. 2021 (arXiv:2012.12877).

    Example:
        >>> import torch
        >>> round(hard_label(torch.zeros(1, 2), torch.tensor([[0.1, 9.0]])).item(), 4)  # log(2)
        0.6931
    """
    check_alike("hard_label", student, teacher)
    return F.cross_entropy(full(student), teacher.detach().argmax(1), reduction="none")


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


LOG_EPS = math.log(1e-9)
LOG_MOST = math.log(1e-3)


def binary_kd(
    student: Float[Tensor, "b k"],
    teacher: Float[Tensor, "b k"],
    *,
    temperature: float = 2.0,
    mask: Bool[Tensor, "b k"] | None = None,
) -> Float[Tensor, " b"]:
    r"""Knowledge distillation class by class: softened yes or no follows the teacher's.

    .. math:: \ell_i = T^2 \frac{b}{n} \sum_{c: m_{ic}} \Bigl( p_{ic} \log \frac{p_{ic}}{q_{ic}}
              + (1 - p_{ic}) \log \frac{1 - p_{ic}}{1 - q_{ic}} + h(p_{ic}) - h(q_{ic}) \Bigr)

    .. math:: p = \sigma(z^t / T), \; q = \sigma(z^s / T), \; n = \sum_{ic} m_{ic}, \;
              h(p) = \log \Bigl( 1 + \min \bigl( \frac{10^{-9}}{1 - p}, 10^{-3} \bigr) \Bigr)

    The term in h is the published code's: it adds 1e-9 to 1 - p and to 1 - q in the logarithm. Here
    that is never more than a thousandth of them. Where it is most of them, beyond a logit of
    20 T, the published loss falls without end as the student's logit grows.

    The mean over the batch is the published loss, T² times the mean over all labeled entries of
    the batch: every labeled entry weighs the same, whichever example it belongs to. (The task's
    own loss weighs every example the same.) So an example's loss depends on how many labels the
    others have; each process of several counts its own share of the batch.

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.
        temperature: T > 0; T² keeps the size of the gradient when T changes.
        mask: `[b, k]`, true where a label is known; None: everywhere.

    Returns:
        One loss per example, `[b]`; 0 where no label is known.

    Raises:
        MenteeError: the temperature is not positive.

    Memory: O(b k). Source: Ding, Lerch 2023 (arXiv:2306.17424).

    Example:
        >>> import torch
        >>> z = torch.tensor([[2.0, -2.0]])
        >>> binary_kd(z, z).item()
        0.0
        >>> round(binary_kd(-z, z, mask=torch.tensor([[True, False]])).item(), 4)
        1.8485
    """
    check_positive("binary_kd", "temperature", temperature)
    z_s, z_t = full(student) / temperature, full(teacher.detach()) / temperature
    yes = z_t.sigmoid() * (F.logsigmoid(z_t) - F.logsigmoid(z_s))  # p log(p / q)
    no = (-z_t).sigmoid() * (F.logsigmoid(-z_t) - F.logsigmoid(-z_s))
    each = temperature**2 * (yes + no + _published(z_t) - _published(z_s))
    if mask is None:
        return each.mean(1)
    return (each * mask).sum(1) * len(mask) / mask.sum().clamp(min=1)


def _published(z: Tensor) -> Tensor:
    """h: log(1 - p + 1e-9) - log(1 - p), the added 1e-9 at most (1 - p) / 1000."""
    return (LOG_EPS - F.logsigmoid(-z)).clamp(max=LOG_MOST).exp().log1p()
