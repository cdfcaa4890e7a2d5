"""Relations of examples: distances of pairs and angles of triples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import SHORTEST
from mentee.losses.gram import check_examples


def rkd(
    student: Float[Tensor, "b ..."],
    teacher: Float[Tensor, "b ..."],
    *,
    distance: float = 25.0,
    angle: float = 50.0,
) -> Float[Tensor, ""]:
    r"""Distances of all pairs, over their mean, and cosines of the angles of all triples.

    .. math:: L = \frac{w_d}{b^2} \sum_{ij} h \Bigl( \frac{a_{ij}}{\bar a} - \frac{a'_{ij}}
              {\bar a'} \Bigr) + \frac{w_a}{b^3} \sum_{ijk} h \bigl( \cos \angle x_j x_i x_k
              - \cos \angle y_j y_i y_k \bigr), \quad a_{ij} = \lVert x_i - x_j \rVert

    h is the smooth absolute value, z² / 2 below 1 and |z| - 1/2 above; the mean is over pairs of
    two examples. A distance or a mean below 1e-3 counts as 1e-3, which bounds the slope where
    examples agree. Inner products are taken in float64, as in distance correlation.

    Args:
        student: `[b, ...]`, flattened.
        teacher: as many examples, any width; no gradient reaches it.
        distance: weight of the distances; 0: they are not looked at.
        angle: weight of the angles; 0: they are not looked at.

    Returns:
        A scalar; 0 for a batch of one. It depends on the batch's size.

    Raises:
        MenteeError: there are not as many examples.

    Memory: O(b³) with angles, else O(b²). Source: Park et al. 2019 (arXiv:1904.05068).

    Example:
        >>> x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
        >>> rkd(2 * x + 1, x).item() < 1e-9
        True
    """
    check_examples("rkd", student, teacher)
    x, y = _inner(student), _inner(teacher.detach())
    loss = torch.zeros((), dtype=x.dtype, device=x.device)
    if distance:
        loss = loss + distance * F.smooth_l1_loss(_relative(x), _relative(y))
    if angle:
        loss = loss + angle * F.smooth_l1_loss(_cosines(x), _cosines(y))
    return loss.to(torch.promote_types(student.dtype, torch.float32))


def _inner(x: Tensor) -> Float[Tensor, "b b"]:
    """Inner products of the centered rows."""
    x = x.flatten(1)
    x = x.float() if x.device.type == "mps" else x.double()
    x = x - x.detach().mean(0)
    return x @ x.T


def _distances(inner: Float[Tensor, "b b"]) -> Float[Tensor, "b b"]:
    """|x_i - x_j|, at least 1e-3."""
    squares = inner.diagonal()
    apart = squares[:, None] + squares - 2 * inner
    return apart.clamp(min=SHORTEST**2).sqrt()


def _relative(inner: Float[Tensor, "b b"]) -> Float[Tensor, "b b"]:
    """Distances over the mean of those of two examples, 0 on the diagonal."""
    b = len(inner)
    apart = _distances(inner) * (1 - torch.eye(b, dtype=inner.dtype, device=inner.device))
    return apart / (apart.sum() / max(b * (b - 1), 1)).clamp(min=SHORTEST)


def _cosines(inner: Float[Tensor, "b b"]) -> Float[Tensor, "b b b"]:
    """The cosine at i of the angle to j and k: <x_j - x_i, x_k - x_i> over both lengths."""
    own = inner.diagonal()[:, None, None]
    to_j, to_k = inner[:, :, None], inner[:, None, :]
    apart = _distances(inner)
    return (inner - to_j - to_k + own) / (apart[:, :, None] * apart[:, None, :])
