"""Distance correlation: are two examples as far apart for the student as for the teacher?

Distances come from one matrix product of the centred batch, |x_i - x_j|² = |x_i|² + |x_j|² - 2⟨x_i,
x_j⟩, in float64: in float32 two near rows of a wide batch would differ by rounding alone.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mentee.agree.batch import SHORTEST, by_frame, mean_of_pairs


def distance_correlation(
    student: Float[Tensor, "b ... sd"], teacher: Float[Tensor, "b ... td"]
) -> Float[Tensor, ""]:
    r"""One minus the squared distance correlation of the batch, mean over frames.

    .. math:: a_{ij} = \sqrt{\lVert x_i - x_j \rVert^2 + 10^{-12}}, \quad
              A_{ij} = a_{ij} - \bar a_{i \cdot} - \bar a_{\cdot j} + \bar a, \quad
              L = 1 - \frac{\overline{A B}}{\sqrt{\overline{A A} \; \overline{B B} + 10^{-9}}}

    with b and B the same of the teacher's vectors y. No map between the two widths is needed, and
    no shift, turn or common scale of either side changes the loss. A mean of A A below 1e-6 counts
    as 1e-6, so that the slope stays bounded where all rows nearly agree.

    Args:
        student: `[b, d]`, or `[b, t, d]` to compare the batch frame by frame.
        teacher: as many examples and frames, any width; no gradient reaches it.

    Returns:
        A scalar in [0, 1]: 0 where all distances are in proportion, 1 for a batch of one or of
        equal rows. It depends on the batch's size.

    Raises:
        MenteeError: the shapes do not go together.

    Memory: O(t b² + t b d) in float64; no `[b, b, d]`.
    Source: Ding, Lerch 2023 (arXiv:2306.17424); Székely, Rizzo, Bakirov 2007.

    Example:
        >>> x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
        >>> wider = torch.cat([x, torch.zeros(8, 2)], dim=1)
        >>> distance_correlation(x, 5 * wider + 1).item() < 1e-6
        True
    """
    x, y = by_frame("distance_correlation", student, teacher.detach())
    a, b = _centred(_distances(x)), _centred(_distances(y))
    spread = mean_of_pairs(a * a).clamp(min=SHORTEST**2)
    correlation = mean_of_pairs(a * b) / (spread * mean_of_pairs(b * b) + 1e-9).sqrt()
    return (1 - correlation).mean().to(x.dtype)


def _centred(a: Float[Tensor, "t b b"]) -> Float[Tensor, "t b b"]:
    """A = a - row means - column means + grand mean, of a symmetric matrix."""
    rows = a.mean(-1, keepdim=True)
    return a - rows - rows.mT + rows.mean(-2, keepdim=True)


def _distances(x: Float[Tensor, "t b d"]) -> Float[Tensor, "t b b"]:
    """All distances within each frame's batch; in float32 where the device has no float64."""
    distances: Tensor = _Distances.apply(x if x.device.type == "mps" else x.double())
    return distances


class _Distances(torch.autograd.Function):
    """a_ij = sqrt(|x_i - x_j|² + 1e-12), with its gradient from one matrix product."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        x = x - x.mean(-2, keepdim=True)  # no distance changes, and less is lost to rounding
        inner = x @ x.mT
        squares = inner.diagonal(dim1=-2, dim2=-1)[..., None]
        a = (squares + squares.mT).sub_(inner, alpha=2).clamp_(min=0)
        a.diagonal(dim1=-2, dim2=-1).zero_()
        a.add_(1e-12).sqrt_()
        ctx.save_for_backward(x, a)
        return a

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> Tensor:
        x, a = ctx.saved_tensors  # type: ignore[attr-defined]
        pulls = (outer + outer.mT) / a  # dL/dx_i = sum_j pulls_ij (x_i - x_j)
        pulls.diagonal(dim1=-2, dim2=-1).zero_()  # 1e6 times 0, but for rounding
        gradient: Tensor = pulls.sum(-1, keepdim=True) * x - pulls @ x
        return gradient
