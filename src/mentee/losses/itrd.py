"""ITRD: correlation of entries over the batch, and mutual information by Rényi entropies."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import SHORTEST, check_alike, full, unit
from mentee.losses.gram import check_examples

EPS = 1e-3
"""Added to the sum under the logarithm, which bounds the slope where all correlations are 1."""


def itrd_correlation(
    student: Float[Tensor, "b d"], teacher: Float[Tensor, "b d"], *, alpha: float = 1.01
) -> Float[Tensor, ""]:
    r"""Each entry of the student's vector varies over the batch as the teacher's does.

    .. math:: L = \log_2 \Bigl( \epsilon + \sum_j |v_j - 1|^{2 \alpha} \Bigr), \quad
              v_j = \frac{1}{b} \sum_i \tilde x_{ij} \tilde y_{ij}, \; \epsilon = 10^{-3}

    with every entry standardized over the batch (dividing by b − 1; a deviation below 1e-3 counts
    as 1e-3). It follows from a Rényi entropy of order alpha of the cross-correlation.

    Args:
        student: `[b, d]`.
        teacher: as the student's; no gradient reaches it.
        alpha: above 0.5.

    Returns:
        A scalar, down to about −10. It depends on the batch's size.

    Raises:
        MenteeError: the shapes differ, or alpha is 0.5 or less.

    Memory: O(b d). Source: Miles, Lopez-Rodriguez, Mikolajczyk 2022 (ITRD, arXiv:2112.00459),
    without epsilon.

    Example:
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> round(itrd_correlation(x, -x, alpha=1.0).item(), 3)  # log2(1.5²)
        1.171
    """
    check_alike("itrd_correlation", student, teacher)
    if not alpha > 0.5:
        raise MenteeError(f"itrd_correlation: alpha is {alpha}, expected a number above 0.5")
    x, y = (_standardized(full(each)) for each in (student, teacher.detach()))
    gaps = ((x * y).mean(0) - 1).abs()
    return (EPS + gaps.pow(2 * alpha).sum()).log2()


def itrd_mutual(
    student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."]
) -> Float[Tensor, ""]:
    r"""Which examples are alike tells as much of the teacher as it can: any two widths.

    .. math:: L = \log_2 \sum_{ij} A_{ij}^2 - \log_2 \sum_{ij} A_{ij}^2 B_{ij}^2
              = H_2(A, B) - H_2(A), \quad H_2(A) = - \log_2 \sum_{ij} (A_{ij} / b)^2

    with A_ij = ⟨x̂_i, x̂_j⟩ of the student's unit vectors and B of the teacher's, both 1 on the
    diagonal: minus the mutual information, but for the teacher's own entropy.

    Args:
        student: `[b, ...]`, flattened.
        teacher: as many examples, any width; no gradient reaches it.

    Returns:
        A scalar of 0 or more; 0 for a batch of one.

    Raises:
        MenteeError: there are not as many examples.

    Memory: O(b² + b d). Source: Miles, Lopez-Rodriguez, Mikolajczyk 2022 (ITRD, arXiv:2112.00459).

    Example:
        >>> x = torch.eye(2)
        >>> itrd_mutual(x, x).item(), itrd_mutual(torch.ones(2, 1), x).item()
        (0.0, 1.0)
    """
    check_examples("itrd_mutual", student, teacher)
    a, b = (_cosines(full(each).flatten(1)) for each in (student, teacher.detach()))
    return a.square().sum().log2() - (a * b).square().sum().log2()


def _standardized(x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """Each entry over the batch: minus its mean, divided by its deviation."""
    centered = x - x.mean(0)
    variance = centered.square().sum(0) / max(len(x) - 1, 1)
    return centered * variance.clamp(min=SHORTEST**2).rsqrt()


def _cosines(x: Float[Tensor, "b d"]) -> Float[Tensor, "b b"]:
    """Of all pairs, 1 on the diagonal."""
    u = unit(x)
    same = torch.eye(len(x), dtype=torch.bool, device=x.device)
    return (u @ u.T).masked_fill(same, 1.0)
