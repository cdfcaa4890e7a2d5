"""Hierarchical context: maps compared at several resolutions."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import check_alike, full

LEVELS = (4, 2, 1)


def hcl(
    student: Float[Tensor, "b c h w"], teacher: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    r"""Mean squared error of the maps, and of their averages over 4×4, 2×2 and 1×1 cells.

    .. math:: \ell_i = \frac{\sum_l 2^{-l} \, \mathrm{mse}(P_l s_i, P_l t_i)}{\sum_l 2^{-l}}

    P_0 is the map itself, P_1, P_2, ... its averages over those of 4, 2 and 1 cells a side that are
    fewer than its height.

    Args:
        student: `[b, c, h, w]`.
        teacher: as the student's; no gradient reaches it.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b c h w). Source: Chen et al. 2021 (arXiv:2104.09044).

    Example:
        >>> import torch
        >>> round(hcl(torch.ones(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)).item(), 6)
        1.0
    """
    check_alike("hcl", student, teacher)
    gap = full(student) - full(teacher.detach())
    loss, weight, total = gap.square().flatten(1).mean(1), 1.0, 1.0
    for cells in LEVELS:
        if cells < gap.shape[2]:
            weight = weight / 2
            total = total + weight
            averaged = F.adaptive_avg_pool2d(gap, (cells, cells))
            loss = loss + weight * averaged.square().flatten(1).mean(1)
    return loss / total
