r"""InfoNCE within the batch, of vectors or of every position of maps; nothing in it is stale.

Value and gradients are computed together, some positions at a time: of the scores
`[b, positions, positions + b]` only a chunk is kept, of the gradients what the inputs have.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import check_alike, full

LARGEST_CHUNK = 1 << 21
"""Scores that are computed at a time."""
COLDEST = 0.02


def info_nce(
    student: Float[Tensor, "b d *hw"],
    teacher: Float[Tensor, "tb td *thw"],
    *,
    temperature: float = 0.1,
    symmetric: bool = False,
) -> Float[Tensor, ""]:
    r"""Which of the teacher's vectors belongs to the student's? Same example, same position.

    .. math:: \ell_{ip} = - \log \frac{\exp(\langle s_{ip}, t_{ip} \rangle / \tau)}
              {\sum_{q} \exp(\langle s_{ip}, t_{iq} \rangle / \tau)
               + \sum_{j \ne i} \exp(\langle s_{ip}, t_{jp} \rangle / \tau)}

    averaged over examples i and positions p. The negatives are the other positions q of the same
    example, and the same position of the other examples j: of vectors, the other examples alone.
    The gradient reaches the teacher's adapter too, never the teacher.

    Args:
        student: unit vectors, `[b, d]`, or `[b, d, h, w]`, of unit length at each position.
        teacher: of the same shape.
        temperature: tau, at least 0.02.
        symmetric: the mean of this and of the same with student and teacher exchanged.

    Returns:
        The mean over the batch, a scalar. Of the batches of several processes it takes the whole.

    Raises:
        MenteeError: the temperature is below 0.02, or the shapes differ.

    Memory: O(b p d + b p min(p + b, chunk)) for p = h w positions.
    Source: van den Oord et al. 2018 (arXiv:1807.03748); of positions as Wang et al. 2021 (DenseCL,
    arXiv:2011.09157), between two networks.
    """
    return _info_nce("info_nce", student, teacher, None, temperature, symmetric)


def class_info_nce(
    student: Float[Tensor, "b d *hw"],
    teacher: Float[Tensor, "tb td *thw"],
    *,
    labels: Int[Tensor, " b"],
    temperature: float = 0.1,
    symmetric: bool = False,
) -> Float[Tensor, ""]:
    r"""As `info_nce`, where examples of one class are not negatives of one another.

    .. math:: \ell_{ip} = - \log \frac{\exp(\langle s_{ip}, t_{ip} \rangle / \tau)}
              {\sum_{q} \exp(\langle s_{ip}, t_{iq} \rangle / \tau)
               + \sum_{j: y_j \ne y_i} \exp(\langle s_{ip}, t_{jp} \rangle / \tau)}

    Args:
        student: as for `info_nce`.
        teacher: of the same shape.
        labels: the class of each example; −1: none, so every other example is a negative.
        temperature: tau, at least 0.02.
        symmetric: as for `info_nce`.

    Returns:
        The mean over the batch, a scalar.

    Raises:
        MenteeError: as for `info_nce`.

    Memory: as `info_nce`.
    Source: as `info_nce`; negatives of other classes as in CRD (arXiv:1910.10699).
    """
    return _info_nce("class_info_nce", student, teacher, labels, temperature, symmetric)


def _info_nce(
    name: str,
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None,
    temperature: float,
    symmetric: bool,
) -> Tensor:
    if not temperature >= COLDEST:
        raise MenteeError(f"{name}: temperature is {temperature}, expected at least {COLDEST}")
    check_alike(name, student, teacher)
    s, t = (full(x).flatten(2) if x.ndim > 2 else full(x)[..., None] for x in (student, teacher))
    excluded = torch.eye(len(s), dtype=torch.bool, device=s.device)
    if labels is not None:
        excluded |= (labels[:, None] == labels) & (labels >= 0)
    s, t = s.transpose(1, 2), t.transpose(1, 2)  # [b, p, d]
    loss: Tensor = _InfoNce.apply(s, t, excluded, temperature)
    if symmetric:
        loss = (loss + _InfoNce.apply(t, s, excluded, temperature)) / 2
    return loss


class _InfoNce(torch.autograd.Function):
    """The mean loss of the anchors, `[b, p, d]`, and its gradients for anchors and rows."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, anchors: Tensor, rows: Tensor, excluded: Tensor, temperature: float
    ) -> Tensor:
        b, p, _ = anchors.shape
        chunk = max(1, LARGEST_CHUNK // (b * (p + b)))
        loss = anchors.new_zeros(())
        of_anchors, of_rows = torch.empty_like(anchors), -anchors
        for start in range(0, p, chunk):
            at = slice(start, start + chunk)
            a, r = anchors[:, at], rows[:, at]
            a_first, r_first = a.transpose(0, 1), r.transpose(0, 1)  # [c, b, d]
            own = torch.bmm(a, rows.transpose(1, 2))  # [b, c, p], the positive at q = p
            others = torch.bmm(a_first, r_first.transpose(1, 2))  # [c, b, b]
            positive = own.diagonal(start, 1, 2).clone()  # [b, c]
            others = others.masked_fill(excluded, -torch.inf)
            highest = torch.maximum(own.amax(2), others.amax(2).T)
            own = own.sub_(highest[..., None]).div_(temperature).exp_()
            others = others.sub_(highest.T[..., None]).div_(temperature).exp_()
            total = own.sum(2) + others.sum(2).T
            loss += (total.log() + (highest - positive) / temperature).sum()
            own /= total[..., None]
            others /= total.T[..., None]
            of_anchors[:, at] = (
                torch.bmm(own, rows) + torch.bmm(others, r_first).transpose(0, 1) - r
            )
            of_rows += torch.bmm(own.transpose(1, 2), a)
            of_rows[:, at] += torch.bmm(others.transpose(1, 2), a_first).transpose(0, 1)
        scale = 1 / (b * p * temperature)
        ctx.save_for_backward(of_anchors * scale, of_rows * scale)
        return loss / (b * p)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        """Both gradients, times what the loss counts for."""
        of_anchors, of_rows = ctx.saved_tensors  # type: ignore[attr-defined]
        return outer * of_anchors, outer * of_rows, None, None
