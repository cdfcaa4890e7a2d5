"""Soft targets where an example may have several classes: each class a distribution of its own."""

from __future__ import annotations

import math

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mentee.losses.batch_statistics import check_positive, full

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
