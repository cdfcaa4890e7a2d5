"""Centered kernel alignment: are the two Gram matrices of the batch in proportion?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

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
    # HSIC up to a factor that the quotient does not see:
    own, theirs = (mean_of_pairs(each * each).clamp(min=SHORTEST**2) for each in (k, m))
    return (1 - mean_of_pairs(k * m) / (own * theirs).sqrt()).mean()


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
