"""Similarities between examples: how those of the student's vectors follow the teacher's."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import (
    SHORTEST,
    by_frame,
    check_alike,
    check_positive,
    full,
    unit,
)
from mentee.losses.gram import check_examples
from mentee.losses.negatives import Negatives, check_shared


def similarity_kl(
    student: Float[Tensor, "b sd"],
    teacher: Float[Tensor, "b td"],
    *,
    negatives: Negatives | None = None,
    temperature: float = 0.07,
    teacher_temperature: float | None = None,
) -> Float[Tensor, " b"]:
    r"""The student's distribution over reference vectors follows the teacher's.

    .. math:: \ell_i = \sum_j p_{ij} (\log p_{ij} - \log q_{ij}), \quad
              p_i = \mathrm{softmax}_j(\langle \hat y_i, m_j \rangle / \tau_t), \;
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
        teacher_temperature: tau_t, above 0; None: tau.

    Returns:
        One loss per example, `[b]`; 0 for a batch of one or two without a memory.

    Raises:
        MenteeError: the temperature is not positive, the widths differ with a memory, or the
            memory draws other rows for each anchor.

    Memory: O(b²), or O(b m) with m rows of a memory.
    Source: the queue is LightlyTrain's first distillation method; in the batch: Passalis, Tefas
    2018 (arXiv:1803.10837), with a softmax for the kernel; with two temperatures, the student's the
    lower: Giakoumoglou, Stathaki 2024 (RRD, arXiv:2407.12073).

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> similarity_kl(x, 2 * x.flip(1)).abs().max().item() < 1e-6
        True
    """
    softness = temperature if teacher_temperature is None else teacher_temperature
    check_positive("similarity_kl", "temperature", temperature)
    check_positive("similarity_kl", "teacher_temperature", softness)
    x, y = unit(full(student)), unit(full(teacher.detach()))
    if negatives is None:
        q_scores, p_scores = _others(x @ x.T), _others(y @ y.T)
    else:
        check_alike("similarity_kl with a memory", student, teacher)
        rows = unit(_references(negatives).to(y.dtype))
        q_scores, p_scores = x @ rows.T, y @ rows.T
    log_q = F.log_softmax(q_scores / temperature, dim=1)
    log_p = F.log_softmax(p_scores / softness, dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def _others(scores: Float[Tensor, "b b"]) -> Float[Tensor, "b others"]:
    """A square matrix without its diagonal: `[b, b - 1]`.

    Behind each entry of the diagonal there are b others in memory, until the next one.
    """
    b = len(scores)
    return scores.flatten()[1:].view(b - 1, b + 1)[:, :-1].reshape(b, b - 1)


def _references(negatives: Negatives) -> Float[Tensor, "m d"]:
    """The teacher's side of the memory."""
    check_shared("similarity_kl", negatives)
    bank, drawn = negatives.banks[1].detach(), negatives.draw.rows
    return bank if drawn is None else bank[drawn]


EPS = 1e-7


def pkt(student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    r"""Probabilistic transfer: the batch's cosines, scaled to [0, 1], as distributions.

    .. math:: L = \frac{1}{b^2} \sum_{ij} p_{ij} \log \frac{p_{ij} + \epsilon}{q_{ij} + \epsilon},
              \quad q_{ij} = \frac{1 + \cos(x_i, x_j)}{\sum_k 1 + \cos(x_i, x_k)}, \;
              \epsilon = 10^{-7}

    p is the same of the teacher's y. A vector shorter than 1e-3 is divided by 1e-3.

    Args:
        student: `[b, ...]`, flattened.
        teacher: as many examples, any width; no gradient reaches it.

    Returns:
        A scalar; 0 where all cosines are equal, and for a batch of one. It depends on the batch's
        size.

    Raises:
        MenteeError: there are not as many examples.

    Memory: O(b² + b d). Source: Passalis, Tefas 2018 (arXiv:1803.10837).

    Example:
        >>> import torch
        >>> x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
        >>> abs(pkt(2 * x, x).item()) < 1e-7
        True
    """
    check_examples("pkt", student, teacher)
    q, p = (_likely(full(each).flatten(1)) for each in (student, teacher.detach()))
    return (p * ((p + EPS) / (q + EPS)).log()).mean()


def _likely(x: Float[Tensor, "b d"]) -> Float[Tensor, "b b"]:
    """Each row a distribution over the batch."""
    x = x / (x.square().sum(1, keepdim=True).clamp(min=SHORTEST**2).sqrt() + EPS)
    near = ((x @ x.T + 1) / 2).clamp(min=0)  # a cosine of -1 may be a little less by rounding
    return near / near.sum(1, keepdim=True)


def cc(student: Float[Tensor, "b d"], teacher: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    r"""Products of the gaps of neighboring examples.

    .. math:: L = \frac{1}{b - 1} \sum_{i=1}^{b-1} \langle \delta_i, \delta_{i+1} \rangle, \quad
              \delta_i = |x_i - y_i|

    This is RepDistiller's formula, with which the numbers of CC in the tables of CRD and CKTF were
    made; the paper compares kernel matrices (`sp`, `cka` are near it). It depends on the order of
    the examples in the batch, and its slope grows with the gap, as that of `mse`.

    Args:
        student: `[b, d]`.
        teacher: as the student's; no gradient reaches it.

    Returns:
        A scalar; 0 for a batch of one.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b d). Source: Peng et al. 2019 (arXiv:1904.01802), as in RepDistiller.

    Example:
        >>> import torch
        >>> cc(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [5.0]])).item()
        3.0
    """
    check_alike("cc", student, teacher)
    gaps = (full(student) - full(teacher.detach())).abs()
    return (gaps[:-1] * gaps[1:]).sum() / max(len(gaps) - 1, 1)


def cosine_distance_difference(
    student: Float[Tensor, "b ... sd"], teacher: Float[Tensor, "b ... td"]
) -> Float[Tensor, ""]:
    r"""Mean difference of all cosine similarities within the batch, frame by frame.

    .. math:: L = \frac{1}{t b^2} \sum_{f, i, j} \bigl| \langle \hat x_{if}, \hat x_{jf} \rangle
              - \langle \hat y_{if}, \hat y_{jf} \rangle \bigr|, \quad
              \hat x = x / \max(\lVert x \rVert, 10^{-3})

    The b similarities of an example with itself are among them, as published: they are 1 on both
    sides and add nothing, but for vectors shorter than 1e-3.

    Args:
        student: `[b, d]`, or `[b, t, d]` to compare the batch frame by frame.
        teacher: as many examples and frames, any width; no gradient reaches it.

    Returns:
        A scalar in [0, 2). It depends on the batch's size.

    Raises:
        MenteeError: the shapes do not go together.

    Memory: O(t b² + t b d). Source: Ding, Lerch 2023 (arXiv:2306.17424).

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> cosine_distance_difference(student, teacher).item()
        0.5
    """
    x, y = (
        unit(each) for each in by_frame("cosine_distance_difference", student, teacher.detach())
    )
    return (x @ x.mT - y @ y.mT).abs().mean()
