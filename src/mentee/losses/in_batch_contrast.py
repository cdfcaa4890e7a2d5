r"""InfoNCE: of vectors or of every position of maps within the batch, or with rows of a memory.

Value and gradients are computed together, some positions at a time: of the scores
`[b, positions, positions + b]` only a chunk is kept, of the gradients what the inputs have.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import check_alike, full
from mentee.losses.negatives import Negatives, check_shared
from mentee.losses.row_contrast import SigmoidOfRows, SoftmaxOfRows

LARGEST_CHUNK = 1 << 21
"""Scores that are computed at a time."""
COLDEST = 0.02


def info_nce(
    student: Float[Tensor, "b d *hw"],
    teacher: Float[Tensor, "tb td *thw"],
    *,
    negatives: Negatives | None = None,
    temperature: float = 0.1,
    symmetric: bool = False,
    decoupled: bool = False,
) -> Float[Tensor, "*b"]:
    r"""Which of the teacher's vectors belongs to the student's? Same example, same position.

    .. math:: \ell_{ip} = - \log \frac{\exp(\langle s_{ip}, t_{ip} \rangle / \tau)}
              {\sum_{q} \exp(\langle s_{ip}, t_{iq} \rangle / \tau)
               + \sum_{j \ne i} \exp(\langle s_{ip}, t_{jp} \rangle / \tau)}

    averaged over examples i and positions p. The negatives are the other positions q of the same
    example, and the same position of the other examples j: of vectors, the other examples alone.
    With a memory, of vectors only, they are the rows of its teacher's side that are not in the
    anchor's group. The gradient reaches the teacher's adapter too, never the teacher.

    Args:
        student: unit vectors, `[b, d]`, or `[b, d, h, w]`, of unit length at each position.
        teacher: of the same shape.
        negatives: what a memory holds; its rows are constants.
        temperature: tau, at least 0.02.
        symmetric: the mean of this and of the same with student and teacher exchanged.
        decoupled: the positive is left out of the denominator; without negatives the loss is 0.

    Returns:
        The mean over the batch, a scalar; of the batches of several processes it takes the whole.
        With a memory one loss per example, `[b]`.

    Raises:
        MenteeError: the temperature is below 0.02, the shapes differ, or it is symmetric with a
            memory that keeps no vectors of the student.

    Memory: O(b p d + b p min(p + b, chunk)) for p = h w positions; O(b chunk) with a memory.
    Source: van den Oord et al. 2018 (arXiv:1807.03748); of positions as Wang et al. 2021 (DenseCL,
    arXiv:2011.09157), between two networks; decoupled: Yeh et al. 2022 (arXiv:2110.06848).
    """
    if negatives is None:
        return _info_nce("info_nce", student, teacher, None, temperature, symmetric, decoupled)
    _check("info_nce", student, teacher, temperature)
    check_shared("info_nce", negatives)
    s, t, (of_student, of_teacher) = full(student), full(teacher), negatives.banks
    more = negatives.draw, temperature, decoupled
    if symmetric and not len(of_student):
        raise MenteeError(
            "info_nce: symmetric contrasts the teacher's vectors with rows of the student, and the "
            "memory keeps none; leave symmetric out, or take the memory queue"
        )
    loss: Tensor = SoftmaxOfRows.apply(s, t, of_teacher, *more)
    if symmetric:
        loss = (loss + SoftmaxOfRows.apply(t, s, of_student, *more)) / 2
    return loss


def class_info_nce(
    student: Float[Tensor, "b d *hw"],
    teacher: Float[Tensor, "tb td *thw"],
    *,
    labels: Int[Tensor, " b"],
    temperature: float = 0.1,
    symmetric: bool = False,
    decoupled: bool = False,
) -> Float[Tensor, ""]:
    r"""As `info_nce` within the batch, where examples of one class are no negatives of one another.

    .. math:: \ell_{ip} = - \log \frac{\exp(\langle s_{ip}, t_{ip} \rangle / \tau)}
              {\sum_{q} \exp(\langle s_{ip}, t_{iq} \rangle / \tau)
               + \sum_{j: y_j \ne y_i} \exp(\langle s_{ip}, t_{jp} \rangle / \tau)}

    Args:
        student: as for `info_nce`.
        teacher: of the same shape.
        labels: the class of each example; −1: none, so every other example is a negative.
        temperature: tau, at least 0.02.
        symmetric: as for `info_nce`.
        decoupled: as for `info_nce`.

    Returns:
        The mean over the batch, a scalar.

    Raises:
        MenteeError: as for `info_nce`.

    Memory: as `info_nce`.
    Source: as `info_nce`; negatives of other classes as in CRD (arXiv:1910.10699).
    """
    name = "class_info_nce"
    return _info_nce(name, student, teacher, labels, temperature, symmetric, decoupled)


def sigmoid_contrast(
    student: Float[Tensor, "b d"],
    teacher: Float[Tensor, "tb td"],
    *,
    negatives: Negatives | None = None,
    temperature: float = 0.1,
    bias: float = -10.0,
) -> Float[Tensor, " b"]:
    r"""Does this vector of the teacher belong to the student's? Asked of each pair on its own.

    .. math:: \ell_i = - \log \sigma(\langle s_i, t_i \rangle / \tau + \beta)
              - \sum_k \log \sigma(- \langle s_i, t_k \rangle / \tau - \beta)

    over the other examples of the batch, or the rows of a memory that are not in the anchor's
    group. The gradient reaches the teacher's adapter too, never the teacher. With
    `logit_scale` as the representation, temperature 1 and bias 0, both numbers are learned.

    Args:
        student: unit vectors `[b, d]`.
        teacher: of the same shape.
        negatives: what a memory holds; its rows are constants.
        temperature: tau, at least 0.02.
        bias: beta; about minus the logarithm of the number of negatives.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the temperature is below 0.02, or the shapes differ.

    Memory: O(b²), or O(b chunk) with a memory.
    Source: Zhai et al. 2023 (SigLIP, arXiv:2303.15343).

    Example:
        >>> x = torch.eye(2)
        >>> [round(v, 4) for v in sigmoid_contrast(x, x, temperature=1.0, bias=0.0).tolist()]
        [1.0064, 1.0064]
    """
    _check("sigmoid_contrast", student, teacher, temperature)
    s, t = full(student), full(teacher)
    loss = F.softplus(-(s * t).sum(1) / temperature - bias)
    if negatives is None:
        others = F.softplus(s @ t.T / temperature + bias)
        return loss + others.sum(1) - others.diagonal()
    check_shared("sigmoid_contrast", negatives)
    of_rows: Tensor = SigmoidOfRows.apply(s, negatives.banks[1], negatives.draw, temperature, bias)
    return loss + of_rows


def _check(name: str, student: Tensor, teacher: Tensor, temperature: float) -> None:
    if not temperature >= COLDEST:
        raise MenteeError(f"{name}: temperature is {temperature}, expected at least {COLDEST}")
    check_alike(name, student, teacher)


def _info_nce(
    name: str,
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None,
    temperature: float,
    symmetric: bool,
    decoupled: bool,
) -> Tensor:
    _check(name, student, teacher, temperature)
    s, t = (full(x).flatten(2) if x.ndim > 2 else full(x)[..., None] for x in (student, teacher))
    excluded = torch.eye(len(s), dtype=torch.bool, device=s.device)
    if labels is not None:
        excluded |= (labels[:, None] == labels) & (labels >= 0)
    s, t = (x.transpose(1, 2).contiguous() for x in (s, t))  # [b, p, d]
    loss: Tensor = _InfoNce.apply(s, t, excluded, temperature, decoupled)
    if symmetric:
        loss = (loss + _InfoNce.apply(t, s, excluded, temperature, decoupled)) / 2
    return loss


class _InfoNce(torch.autograd.Function):
    """The mean loss of the anchors, `[b, p, d]`, and its gradients for anchors and rows.

    All factors are laid out so that a product of many matrices is one call.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        anchors: Tensor,
        rows: Tensor,
        excluded: Tensor,
        temperature: float,
        decoupled: bool,
    ) -> Tensor:
        b, p, _ = anchors.shape
        chunk = max(1, LARGEST_CHUNK // (b * (p + b)))
        left_out = decoupled & ~(excluded.all(1, keepdim=True) & (p == 1))  # if there are others
        trains_rows = ctx.needs_input_grad[1]  # type: ignore[attr-defined]
        loss, scaled = anchors.new_zeros(()), anchors / temperature
        of_anchors, of_rows = -rows, -anchors if trains_rows else anchors.new_empty(0)
        for start in range(0, p, chunk):
            at = slice(start, start + chunk)
            a, a_first = anchors[:, at].contiguous(), by_position(anchors[:, at])
            own = torch.bmm(scaled[:, at], rows.mT)  # [b, c, p], the positive at q = p
            r_first = by_position(rows[:, at])
            others = torch.bmm(by_position(scaled[:, at]), r_first.mT)  # [c, b, b]
            positive = own.diagonal(start, 1, 2)  # [b, c]
            loss -= positive.sum()
            positive.masked_fill_(left_out, -torch.inf)
            others.masked_fill_(excluded, -torch.inf)
            highest = torch.maximum(own.amax(2), others.amax(2).T)
            total = own.sub_(highest[..., None]).exp_().sum(2)
            total += others.sub_(highest.T[..., None]).exp_().sum(2).T
            loss += (total.log() + highest).sum()
            own /= total[..., None]
            others /= total.T[..., None]
            of_anchors[:, at] += torch.bmm(own, rows)
            of_anchors[:, at] += torch.bmm(others, r_first).transpose(0, 1)
            if trains_rows:
                of_rows += torch.bmm(own.mT, a)
                of_rows[:, at] += torch.bmm(others.mT, a_first).transpose(0, 1)
        scale = 1 / (b * p * temperature)
        ctx.save_for_backward(of_anchors.mul_(scale), of_rows.mul_(scale))
        return loss / (b * p)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        """Both gradients, times what the loss counts for."""
        of_anchors, of_rows = ctx.saved_tensors  # type: ignore[attr-defined]
        return outer * of_anchors, outer * of_rows if len(of_rows) else None, None, None, None


def by_position(x: Tensor) -> Tensor:
    """`[b, p, d]` as `[p, b, d]`, in memory too: else a product is one call for each position."""
    return x.transpose(0, 1).contiguous()
