"""Entry by entry: on one scale (MSE, cosine, ...), on several (HCL), with a variance (VID)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import check_alike, check_positive, full, unit


def cosine(
    student: Float[Tensor, "b ... d"], teacher: Float[Tensor, "b ... d"]
) -> Float[Tensor, " b"]:
    r"""One minus the cosine of the two vectors, mean over frames.

    .. math:: \ell_i = 1 - \frac{1}{t} \sum_f \langle \hat x_{if}, \hat y_{if} \rangle, \quad
              \hat x = x / \max(\lVert x \rVert, 10^{-3})

    Args:
        student: `[b, d]`, or `[b, t, d]` per frame.
        teacher: as the student's; no gradient reaches it.

    Returns:
        One loss per example, `[b]`, in [0, 2]; 1 where a vector is zero.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b t d). Source: the agreement of S-SONDO (arXiv:2604.24933).

    Example:
        >>> import torch
        >>> one, other = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
        >>> cosine(one, one).item(), cosine(one, other).item()
        (0.0, 1.0)
    """
    check_alike("cosine", student, teacher)
    similarity = (unit(full(student)) * unit(full(teacher.detach()))).sum(-1)
    return 1 - similarity.reshape(len(student), -1).mean(1)


def mse(student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    r"""Mean squared error over an example's entries.

    .. math:: \ell_i = \frac{1}{d} \sum_c (x_{ic} - y_{ic})^2

    Its slope grows with the gap, 2 (x - y) / d: scale targets that are far from unit size.

    Args:
        student: `[b, ...]`.
        teacher: as the student's; no gradient reaches it.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b d). Source: Romero et al. 2015 (arXiv:1412.6550).

    Example:
        >>> import torch
        >>> mse(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item()
        2.5
    """
    check_alike("mse", student, teacher)
    return (full(student) - full(teacher.detach())).square().flatten(1).mean(1)


def squared(
    student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."]
) -> Float[Tensor, " b"]:
    r"""Sum of squared errors over an example's entries, for vectors that are scaled for it.

    .. math:: \ell_i = \sum_c (x_{ic} - y_{ic})^2

    Args:
        student: `[b, ...]`.
        teacher: as the student's; no gradient reaches it.

    Returns:
        One loss per example, `[b]`; its slope is 2 (x - y).

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b d).

    Example:
        >>> import torch
        >>> squared(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item()
        5.0
    """
    check_alike("squared", student, teacher)
    return (full(student) - full(teacher.detach())).square().flatten(1).sum(1)


def l1(student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    r"""Mean absolute error over an example's entries.

    .. math:: \ell_i = \frac{1}{d} \sum_c |x_{ic} - y_{ic}|

    Args:
        student: `[b, ...]`.
        teacher: as the student's; no gradient reaches it.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b d). Source: of paraphraser, Kim et al. 2018 (arXiv:1802.04977).

    Example:
        >>> import torch
        >>> l1(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item()
        1.5
    """
    check_alike("l1", student, teacher)
    return (full(student) - full(teacher.detach())).abs().flatten(1).mean(1)


def smooth_l1(
    student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."], *, beta: float = 1.0
) -> Float[Tensor, " b"]:
    r"""Mean over an example's entries of the absolute error, squared below beta.

    .. math:: \ell_i = \frac{1}{d} \sum_c h(x_{ic} - y_{ic}), \quad
              h(z) = \begin{cases} z^2 / 2 \beta & |z| < \beta \\ |z| - \beta / 2 & \text{else}
              \end{cases}

    Args:
        student: `[b, ...]`.
        teacher: as the student's; no gradient reaches it.
        beta: where the square ends, above 0; in units of the features.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the shapes differ, or beta is not positive.

    Memory: O(b d). Source: Girshick 2015 (arXiv:1504.08083).

    Example:
        >>> import torch
        >>> smooth_l1(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 4.0]])).item()
        0.8125
    """
    check_alike("smooth_l1", student, teacher)
    check_positive("smooth_l1", "beta", beta)
    each = F.smooth_l1_loss(full(student), full(teacher.detach()), reduction="none", beta=beta)
    return each.flatten(1).mean(1)


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


LEAST = 1e-5


def vid(
    student: Float[Tensor, "b c2 ..."], teacher: Float[Tensor, "b c ..."]
) -> Float[Tensor, " b"]:
    r"""Negative logarithm of a normal density of the teacher's entries, mean over them.

    .. math:: \ell_i = \frac{1}{2 n} \sum_u \frac{(\mu_{iu} - t_{iu})^2}{\sigma_{iu}^2}
              + \log \sigma_{iu}^2

    Args:
        student: `[b, 2 c, ...]`, the means and behind them the variances, as `gaussian` gives
            them; a variance below 1e-5 counts as that.
        teacher: `[b, c, ...]`; no gradient reaches it.

    Returns:
        One loss per example, `[b]`, without the constant; it may be negative.

    Raises:
        MenteeError: the student has not twice the teacher's channels, or other places.

    Memory: O(b c h w). Source: Ahn et al. 2019 (arXiv:1904.05835).

    Example:
        >>> import torch
        >>> vid(torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0]])).item()
        2.0
    """
    c = teacher.shape[1]
    if student.shape != (len(teacher), 2 * c, *teacher.shape[2:]):
        raise MenteeError(
            f"vid: the student has shape {tuple(student.shape)}, the teacher "
            f"{tuple(teacher.shape)}; expected twice the channels, means and variances: use the "
            "representation gaussian"
        )
    means, variances = full(student[:, :c]), full(student[:, c:]).clamp(min=LEAST)
    each = (means - full(teacher.detach())).square() / variances + variances.log()
    return each.flatten(1).mean(1) / 2
