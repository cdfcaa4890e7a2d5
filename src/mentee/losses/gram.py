"""Gram matrices: of examples (SP), of channels (ICKD), and of positions (NST)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import SHORTEST, full, unit


def sp(student: Float[Tensor, "b ..."], teacher: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    r"""Similarity preserving: the batch's inner products, row by row of unit length.

    .. math:: L = \frac{1}{b^2} \sum_i \lVert \hat G^s_i - \hat G^t_i \rVert^2, \quad
              G = F F^\top, \; \hat G_i = G_i / \lVert G_i \rVert

    with F the flattened features. No scale of either side changes the loss. To bound the slope,
    each side is divided by the root mean square length of its examples, or by 1e-3 where that is
    less, and then a row of G shorter than 1e-3 counts as that.

    Args:
        student: `[b, ...]`, flattened.
        teacher: as many examples, any shape; no gradient reaches it.

    Returns:
        A scalar in [0, 4 / b]; 0 for a batch of one. It depends on the batch's size.

    Raises:
        MenteeError: there are not as many examples.

    Memory: O(b² + b d). Source: Tung, Mori 2019 (arXiv:1907.09682).

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 2.0]])
        >>> sp(3 * x, x).item() < 1e-12
        True
    """
    check_examples("sp", student, teacher)
    x, y = (_alike(full(each).flatten(1)) for each in (student, teacher.detach()))
    return (x - y).square().mean()


def ickd(
    student: Float[Tensor, "b c ..."], teacher: Float[Tensor, "b c ..."]
) -> Float[Tensor, " b"]:
    r"""Inter-channel correlation: an example's channels, compared with one another.

    .. math:: \ell_i = \frac{1}{c} \sum_c \lVert \hat G^s_{ic} - \hat G^t_{ic} \rVert^2, \quad
              G_i = F_i F_i^\top, \; \hat G_{ic} = G_{ic} / \lVert G_{ic} \rVert

    with F the channels of an example, flattened over space; scaled and bounded as `sp`.

    Args:
        student: `[b, c, ...]`; resolutions may differ.
        teacher: as many examples and channels; no gradient reaches it.

    Returns:
        One loss per example, `[b]`, in [0, 4].

    Raises:
        MenteeError: there are not as many examples or channels.

    Memory: O(b c² + b c h w). Source: Liu et al. 2021 (arXiv:2202.03680).

    Example:
        >>> import torch
        >>> x = torch.randn(2, 3, 4, 4)
        >>> ickd(2 * x, x).max().item() < 1e-9
        True
    """
    check_examples("ickd", student, teacher)
    if student.shape[1] != teacher.shape[1]:
        raise MenteeError(
            f"ickd: the student has {student.shape[1]} channels, the teacher {teacher.shape[1]}; "
            "expected as many: use regressor, whose convolution gives the teacher's"
        )
    x, y = (_alike(full(each).flatten(2)) for each in (student, teacher.detach()))
    return (x - y).square().sum((1, 2)) / student.shape[1]


def check_examples(name: str, student: Tensor, teacher: Tensor) -> None:
    """Refuse batches of different sizes.

    Raises:
        MenteeError: they are.
    """
    if len(student) != len(teacher):
        raise MenteeError(
            f"{name}: the student has {len(student)} examples, the teacher {len(teacher)}; "
            "expected as many"
        )


def _alike(x: Float[Tensor, "*b n d"]) -> Float[Tensor, "*b n n"]:
    """The rows' inner products, each row of unit length."""
    lengths = x.square().sum(-1, keepdim=True).mean(-2, keepdim=True)
    x = x * lengths.clamp(min=SHORTEST**2).rsqrt()
    gram = x @ x.mT
    return gram * gram.square().sum(-1, keepdim=True).clamp(min=SHORTEST**2).rsqrt()


def nst(
    student: Float[Tensor, "b sc ..."], teacher: Float[Tensor, "b tc ..."]
) -> Float[Tensor, " b"]:
    r"""Squared maximum mean discrepancy of the channels, with the kernel of squared cosines.

    .. math:: \ell_i = \frac{1}{c'^2} \sum_{uv} \langle \hat t_u, \hat t_v \rangle^2
              + \frac{1}{c^2} \sum_{uv} \langle \hat s_u, \hat s_v \rangle^2
              - \frac{2}{c c'} \sum_{uv} \langle \hat s_u, \hat t_v \rangle^2

    s are the channels of the student's map, flattened over the places, t the teacher's. With the
    channels as rows of S and T, it is :math:`\lVert S^\top S / c - T^\top T / c' \rVert^2`, which
    is computed where there are fewer places than channels. A channel shorter than 1e-3 is divided
    by 1e-3.

    Args:
        student: `[b, c, ...]`.
        teacher: as many examples and places, any channels; no gradient reaches it.

    Returns:
        One loss per example, `[b]`; 0 where the two distributions have equal second moments.

    Raises:
        MenteeError: there are not as many examples, or other places.

    Memory: O(b c (h w + c)). Source: Huang, Wang 2017 (arXiv:1707.01219).

    Example:
        >>> import torch
        >>> x = torch.randn(2, 3, 4, 4)
        >>> nst(2 * x, x).abs().max().item() < 1e-6
        True
    """
    check_examples("nst", student, teacher)
    if student.shape[2:] != teacher.shape[2:]:
        raise MenteeError(
            f"nst: the student has maps of {tuple(student.shape[2:])}, the teacher of "
            f"{tuple(teacher.shape[2:])}; expected one resolution: use feature_maps"
        )
    s, t = (unit(full(x).flatten(2)) for x in (student, teacher.detach()))
    if s.shape[2] <= max(s.shape[1], t.shape[1]):
        return (_moments(s) - _moments(t)).square().sum((1, 2))
    return _kernel(t, t) + _kernel(s, s) - 2 * _kernel(s, t)


def _moments(x: Float[Tensor, "b c p"]) -> Float[Tensor, "b p p"]:
    """Second moments of the places over the channels."""
    return x.mT @ x / x.shape[1]


def _kernel(x: Tensor, y: Tensor) -> Float[Tensor, " b"]:
    """The mean squared inner product of the channels."""
    return (x @ y.mT).square().mean((1, 2))
