"""Variational information: how surprising is the teacher's map, given the student's?"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import full

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
