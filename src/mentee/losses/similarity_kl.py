"""Similarity distributions: which examples does this one resemble, and how much?"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import check_alike, check_positive, full, unit
from mentee.losses.negatives import Negatives


def similarity_kl(
    student: Float[Tensor, "b sd"],
    teacher: Float[Tensor, "b td"],
    *,
    negatives: Negatives | None = None,
    temperature: float = 0.07,
) -> Float[Tensor, " b"]:
    r"""The student's distribution over reference vectors follows the teacher's.

    .. math:: \ell_i = \sum_j p_{ij} (\log p_{ij} - \log q_{ij}), \quad
              p_i = \mathrm{softmax}_j(\langle \hat y_i, m_j \rangle / \tau), \;
              q_i = \mathrm{softmax}_j(\langle \hat x_i, n_j \rangle / \tau)

    with all vectors of unit length (one shorter than 1e-3 is divided by 1e-3). Without a memory the
    references are the other examples of the batch, each side's own, n = x and m = y without the
    i-th: widths may differ. With a memory both sides look at the teacher's side of it, n = m = its
    rows, the example's own and those of its class among them: widths must be equal.

    Args:
        student: `[b, d]`.
        teacher: `[b, d]`; no gradient reaches it.
        negatives: what a memory holds; its rows are constants.
        temperature: tau, above 0.

    Returns:
        One loss per example, `[b]`; 0 for a batch of one or two without a memory.

    Raises:
        MenteeError: the temperature is not positive, the widths differ with a memory, or the
            memory draws other rows for each anchor.

    Memory: O(b²), or O(b m) with m rows of a memory.
    Source: the queue is LightlyTrain's first distillation method; in the batch: Passalis, Tefas
    2018 (arXiv:1803.10837), with a softmax for the kernel.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> similarity_kl(x, 2 * x.flip(1)).abs().max().item() < 1e-6
        True
    """
    check_positive("similarity_kl", "temperature", temperature)
    x, y = unit(full(student)), unit(full(teacher.detach()))
    if negatives is None:
        q_scores, p_scores = _others(x @ x.T), _others(y @ y.T)
    else:
        check_alike("similarity_kl with a memory", student, teacher)
        rows = unit(_references(negatives).to(y.dtype))
        q_scores, p_scores = x @ rows.T, y @ rows.T
    log_q = F.log_softmax(q_scores / temperature, dim=1)
    log_p = F.log_softmax(p_scores / temperature, dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def _others(scores: Float[Tensor, "b b"]) -> Float[Tensor, "b others"]:
    """A square matrix without its diagonal: `[b, b - 1]`.

    Behind each entry of the diagonal there are b others in memory, until the next one.
    """
    b = len(scores)
    return scores.flatten()[1:].view(b - 1, b + 1)[:, :-1].reshape(b, b - 1)


def _references(negatives: Negatives) -> Float[Tensor, "m d"]:
    """The teacher's side of the memory."""
    bank, drawn = negatives.banks[1].detach(), negatives.draw.rows
    if drawn is not None and drawn.ndim != 1:
        raise MenteeError(
            "similarity_kl: the memory draws other rows for each example, expected rows that all "
            "share; use the queue, or a bank with draw=shared"
        )
    return bank if drawn is None else bank[drawn]
