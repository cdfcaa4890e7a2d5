"""Which units are active: the teacher's activation boundaries, and what lies beyond them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import check_alike, check_positive, full


def ab(
    student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."], *, margin: float = 1.0
) -> Float[Tensor, " b"]:
    r"""Units active in the teacher are to be above the margin, the others below its negative.

    .. math:: \ell_i = \frac{3}{1000} \sum_u \begin{cases}
              (s_{iu} - m)^2 & t_{iu} > 0, \; s_{iu} \le m \\
              (s_{iu} + m)^2 & t_{iu} \le 0, \; s_{iu} > -m \\ 0 & \text{else} \end{cases}

    Only the signs of the teacher's entries are read, so it may be read before or behind a ReLU.
    The factor is that of the published code.

    Args:
        student: `[b, ...]`, before an activation: what a head gives.
        teacher: as the student's; no gradient reaches it.
        margin: m > 0.

    Returns:
        One loss per example, `[b]`; its slope is at most 6 (|s| + m) / 1000.

    Raises:
        MenteeError: the shapes differ, or the margin is not positive.

    Memory: O(b c h w). Source: Heo et al. 2019 (arXiv:1811.03233), as in RepDistiller.

    Example:
        >>> import torch
        >>> round(ab(torch.tensor([[0.0, 3.0]]), torch.tensor([[2.0, 2.0]])).item(), 4)
        0.003
    """
    check_alike("ab", student, teacher)
    check_positive("ab", "margin", margin)
    s, active = full(student), teacher.detach() > 0
    low, high = (margin - s).clamp(min=0), (margin + s).clamp(min=0)
    each = low.square().where(active, high.square())
    return 3e-3 * each.flatten(1).sum(1)


def partial_l2(
    student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."]
) -> Float[Tensor, " b"]:
    r"""Squared differences, but for units that are inactive on both sides and low enough.

    .. math:: \ell_i = \frac{1}{1000} \sum_u \begin{cases} 0 & s_{iu} \le t_{iu} \le 0 \\
              (s_{iu} - t_{iu})^2 & \text{else} \end{cases}

    Where the teacher's unit does not fire, the student's need not either, however low it is. The
    factor is that of the published code.

    Args:
        student: `[b, ...]`, before an activation: what a head gives.
        teacher: as the student's; no gradient reaches it.

    Returns:
        One loss per example, `[b]`; its slope is at most 2 |s - t| / 1000.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b c h w). Source: Heo et al. 2019 (arXiv:1904.01866).

    Example:
        >>> import torch
        >>> s, t = torch.tensor([[-5.0, 1.0]]), torch.tensor([[0.0, 3.0]])
        >>> round(partial_l2(s, t).item(), 4)
        0.004
    """
    check_alike("partial_l2", student, teacher)
    s, t = full(student), full(teacher.detach())
    counts = (s > t) | (t > 0)
    return 1e-3 * ((s - t) * counts).square().flatten(1).sum(1)
