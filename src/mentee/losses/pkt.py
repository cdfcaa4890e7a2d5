"""Probabilities of the batch: how likely is each example another one's neighbor?"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import SHORTEST, full
from mentee.losses.gram import check_examples

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
