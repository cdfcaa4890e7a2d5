"""Correlations of whole batches of representations: CKA and distance correlation.

Distances come from one matrix product of the centered batch, |x_i - x_j|² = |x_i|² + |x_j|² -
2⟨x_i, x_j⟩, in float64: in float32 two near rows of a wide batch would differ by rounding alone.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import SHORTEST, by_frame, mean_of_pairs


def cka(
    student: Float[Tensor, "b ... sd"],
    teacher: Float[Tensor, "b ... td"],
    *,
    debiased: bool = False,
) -> Float[Tensor, ""]:
    r"""One minus the linear centered kernel alignment of the batch, mean over frames.

    .. math:: L = 1 - \frac{\mathrm{HSIC}(K, M)}
              {\sqrt{\mathrm{HSIC}(K, K) \, \mathrm{HSIC}(M, M)}}, \quad
              K_{ij} = \langle x_i, x_j \rangle, \; M_{ij} = \langle y_i, y_j \rangle

    HSIC(K, M) is the mean of the entries of the centered K times those of the centered M. No shift,
    turn or scale of either side changes the loss. To bound the slope, each side is divided by the
    root mean square distance to its center, or by 1e-3 where that is less; then a HSIC(K, K) below
    1e-6 counts as 1e-6.

    Args:
        student: `[b, d]`, or `[b, t, d]` to compare the batch frame by frame.
        teacher: as many examples and frames, any width; no gradient reaches it.
        debiased: HSIC's unbiased estimate instead, for which two unrelated wide batches are at 1
            and not near 0; it asks for at least 4 examples.

    Returns:
        A scalar, 0 where the two agree; at most 1, or 2 if debiased. It is 1 for a batch of one or
        of equal rows.

    Raises:
        MenteeError: the shapes do not go together, or there are too few examples to debias.

    Memory: O(t b² + t b d), from the Gram matrices, whatever the widths.
    Source: Kornblith et al. 2019 (arXiv:1905.00414); debiased: Song et al. 2012, "Feature selection
    via dependence maximization".

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
        >>> cka(x, 3 * x.flip(1) + 1).item() < 1e-6
        True
    """
    x, y = by_frame("cka", student, teacher.detach())
    if debiased and x.shape[1] < 4:
        raise MenteeError(
            f"cka: debiased over a batch of {x.shape[1]}, expected at least 4 examples; make the "
            "batch larger or set debiased to false"
        )
    k, m = (each @ each.mT for each in (_scaled(x), _scaled(y)))  # centered, as the rows are
    if debiased:
        k, m = _centered_without_bias(k), _centered_without_bias(m)
    return (1 - _correlation(k, m)).mean()


def _correlation(k: Float[Tensor, "t b b"], m: Float[Tensor, "t b b"]) -> Float[Tensor, " t"]:
    """Of the entries of centered matrices; the quotient does not see a factor of HSIC."""
    own_k, own_m = (mean_of_pairs(each * each).clamp(min=SHORTEST**2) for each in (k, m))
    return mean_of_pairs(k * m) / (own_k * own_m).sqrt()


def _scaled(x: Float[Tensor, "t b d"]) -> Float[Tensor, "t b d"]:
    """The rows from their center, of root mean square length 1."""
    x = x - x.mean(-2, keepdim=True)
    return x * x.square().sum(-1).mean(-1).clamp(min=SHORTEST**2).rsqrt()[:, None, None]


def _centered_without_bias(k: Float[Tensor, "t b b"]) -> Float[Tensor, "t b b"]:
    """K'_ij = K_ij - K_i. / (b - 2) - K_.j / (b - 2) + K_.. / ((b - 1)(b - 2)), 0 where i = j."""
    b = k.shape[-1]
    others = 1 - torch.eye(b, dtype=k.dtype, device=k.device)
    rows = (k * others).sum(-1, keepdim=True)
    whole = rows.sum(-2, keepdim=True) / ((b - 1) * (b - 2))
    return (k - (rows + rows.mT) / (b - 2) + whole) * others


def distance_correlation(
    student: Float[Tensor, "b ... sd"],
    teacher: Float[Tensor, "b ... td"],
    *,
    debiased: bool = False,
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
        debiased: centered without bias instead; fewer than 4 examples are compared with it, as
            there is no estimate without. With bias, two unrelated batches of 16 vectors of 64
            entries have a squared correlation of 0.94, and rows at equal distances may have a
            larger one to the teacher's than rows in the teacher's own clusters.

    Returns:
        A scalar in [0, 1], or [0, 2] if debiased: 0 where all distances are in proportion, 1 for a
        batch of one or of equal rows. With bias it depends on the batch's size.

    Raises:
        MenteeError: the shapes do not go together.

    Memory: O(t b² + t b d) in float64; no `[b, b, d]`.
    Source: Ding, Lerch 2023 (arXiv:2306.17424); Székely, Rizzo, Bakirov 2007; debiased: Székely,
    Rizzo 2014, "Partial distance correlation with methods for dissimilarities".

    Example:
        >>> x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
        >>> wider = torch.cat([x, torch.zeros(8, 2)], dim=1)
        >>> distance_correlation(x, 5 * wider + 1).item() < 1e-6
        True
    """
    x, y = by_frame("distance_correlation", student, teacher.detach())
    if not debiased or x.shape[1] < 4:
        loss: Tensor = _Unlike.apply(x, y)
        return loss
    a, b = (_centered_without_bias(each) for each in _distances(_exact(x), _exact(y)))
    return (1 - _correlation(a, b)).mean().to(student.dtype)


class _Unlike(torch.autograd.Function):
    """1 - r, mean over frames, and its gradient: a few operations on both sides at once."""

    @staticmethod
    def forward(ctx: FunctionCtx, student: Tensor, teacher: Tensor) -> Tensor:
        x = _exact(student)
        a = _distances(x, _exact(teacher))
        # A = a - row means - column means + grand mean, of symmetric matrices
        rows = a.mean(-1, keepdim=True)
        half = rows - rows.mean(-2, keepdim=True) / 2
        centered = a - half - half.mT
        entries = centered.flatten(-2)  # [2, t, b²]
        means = entries.movedim(0, 1) @ entries.permute(1, 2, 0) / entries.shape[-1]  # [t, 2, 2]
        aa, ab, bb = means[:, 0, 0], means[:, 0, 1], means[:, 1, 1]
        root = (aa.clamp(min=SHORTEST**2) * bb + 1e-9).rsqrt()
        # dr/dA = (B - A · mean AB · mean BB · root²) · root / b², which is centered already
        own = torch.where(aa >= SHORTEST**2, ab * bb * root**2, 0.0)[:, None, None]
        slope = torch.addcmul(centered[1], own, centered[0], value=-1).div_(a[0])
        ctx.save_for_backward(x, slope, root)
        ctx.dtype = student.dtype  # type: ignore[attr-defined]
        return (1 - ab * root).mean().to(student.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor, None]:
        x, slope, root = ctx.saved_tensors  # type: ignore[attr-defined]
        frames, examples = x.shape[:2]
        # dL/dx_i = sum_j pulls_ij (x_i - x_j), from both a_ij and a_ji
        pulls = slope * (root * (outer * (-2 / (frames * examples**2))))[:, None, None]
        pulls.diagonal(dim1=-2, dim2=-1).zero_()  # 1e6 times 0, but for rounding
        slopes = torch.baddbmm(pulls.sum(-1, keepdim=True) * x, pulls, x, alpha=-1)
        return slopes.to(ctx.dtype), None  # type: ignore[attr-defined]


def _exact(x: Float[Tensor, "t b d"]) -> Float[Tensor, "t b d"]:
    """In float64, or float32 where the device has no float64; the batch's mean taken away.

    No distance changes by that, and less is lost to rounding.
    """
    x = x if x.device.type == "mps" else x.double()
    return x - x.mean(-2, keepdim=True)


def _distances(*sides: Float[Tensor, "t b _"]) -> Float[Tensor, "s t b b"]:
    """a_ij = sqrt(|x_i - x_j|² + 1e-12) within each frame's batch, of each side."""
    inner = torch.stack([x @ x.mT for x in sides])
    squares = inner.diagonal(dim1=-2, dim2=-1)[..., None]
    # On the diagonal exactly 0: s + s - 2 s.
    return (squares + squares.mT).sub_(inner, alpha=2).clamp_(min=0).add_(1e-12).sqrt_()
