"""The teacher's decision as a label."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import check_alike, full


def hard_label(student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    r"""Cross-entropy with the class that the teacher says.

    .. math:: \ell_i = - \log q_{i, y^t_i}, \quad y^t_i = \arg\max_c z^t_{ic}, \;
              q = \mathrm{softmax}(z^s)

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the shapes differ.

    Memory: O(b k). Source: DeiT, Touvron et al. 2021 (arXiv:2012.12877).

    Example:
        >>> import torch
        >>> round(hard_label(torch.zeros(1, 2), torch.tensor([[0.1, 9.0]])).item(), 4)  # log(2)
        0.6931
    """
    check_alike("hard_label", student, teacher)
    return F.cross_entropy(full(student), teacher.detach().argmax(1), reduction="none")
