"""Discriminative and consistent distillation: a contrast whose two directions agree."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import check_alike, check_positive, full


def dcd(
    student: Float[Tensor, "b d"],
    teacher: Float[Tensor, "b d"],
    *,
    temperature: float = 0.1,
    consistency: float = 0.5,
) -> Float[Tensor, " b"]:
    r"""InfoNCE within the batch, and the same distribution whichever network asks.

    .. math:: \ell_i = - \log p_{ii}
              + \alpha \sum_j q_{ij} \log \frac{q_{ij}}{p_{ij}}, \quad
              p_i = \mathrm{softmax}_j(\langle s_i, t_j \rangle / \tau), \;
              q_i = \mathrm{softmax}_j(\langle t_i, s_j \rangle / \tau)

    p is an example of the student among those of the teacher, q the same example of the teacher
    among those of the student. The gradient reaches the teacher's adapter too, never the teacher.
    As published tau is learned: `logit_scale` as the representation, and temperature 1.

    Args:
        student: unit vectors `[b, d]`.
        teacher: of the same shape.
        temperature: tau, above 0.
        consistency: alpha, the share of the second part.

    Returns:
        One loss per example, `[b]`. Of the batches of several processes it takes the whole.

    Raises:
        MenteeError: the temperature is not positive, or the shapes differ.

    Memory: O(b²). Source: Giakoumoglou, Stathaki 2024 (DCD, arXiv:2407.11802); its bias changes
    nothing within a softmax and is left out.
    """
    check_positive("dcd", "temperature", temperature)
    check_alike("dcd", student, teacher)
    scores = full(student) @ full(teacher).T / temperature
    log_p, log_q = F.log_softmax(scores, 1), F.log_softmax(scores.T, 1)
    apart = (log_q.exp() * (log_q - log_p)).sum(1)
    return consistency * apart - log_p.diagonal()
