"""Neuron selectivity: the channels of two maps as samples of one distribution."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import full, unit
from mentee.losses.gram import check_examples


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
