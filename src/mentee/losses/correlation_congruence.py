"""Correlation congruence, in the form that its published comparisons use."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import check_alike, full


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
