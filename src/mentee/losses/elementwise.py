"""Vectors of equal width, compared entry by entry: cosine, squared and absolute errors."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

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
