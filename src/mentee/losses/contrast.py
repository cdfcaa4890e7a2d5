r"""The contrastive agreement: noise-contrastive estimation of "the same example", both ways round.

Both sums of `contrast` are computed from r = p / c, so that nothing is lost to rounding: the first
is softplus(log((c + eps) / p_0)), the second a sum of log(1 + eps / c + r_k).

Where all anchors share their m negatives, the sum over k is one matrix product, scores = g Mᵀ,
and its gradient another, (r / (1 + eps / c + r)) M / tau. Both are done chunk by chunk of M in the
forward pass, and only the gradient, [b, d], is kept for the backward pass. Where M is kept in
bfloat16, so are the factors of both products, and their sums are not.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import full
from mentee.losses.matmul import product
from mentee.losses.negatives import Draw, Negatives, chunks
from mentee.losses.shared_negatives import EPS, HIGHEST, SharedContrast

CHUNK = 4096
COLDEST = 0.02


def contrast(
    student: Float[Tensor, "b d"],
    teacher: Float[Tensor, "b d"],
    *,
    negatives: Negatives,
    log_z: Float[Tensor, "2"],
    temperature: float = 0.1,
    chunk: int = CHUNK,
) -> Float[Tensor, " b"]:
    r"""Both directions of the contrast: each side's anchor against the other side's rows.

    .. math:: \ell_i = \ell(g^s_i; M^t) + \ell(g^t_i; M^s), \quad
              p_k = \exp(\langle m_k, g \rangle / \tau) / Z, \; c = K / N

    .. math:: \ell(g; M) = - \log \frac{p_0}{p_0 + c + \epsilon}
              - \sum_{k=1}^{K} \log \frac{c}{p_k + c + \epsilon}

    with m_0 the positive row of an anchor g and m_1 to m_K its negative rows of the other side, all
    of them unit vectors, and N training examples.

    Unlike other agreements it sends a gradient to the teacher's side too: there it trains the head
    on top of the frozen features, never the teacher.

    Args:
        student: unit vectors `[b, d]`.
        teacher: unit vectors `[b, d]`.
        negatives: what the anchors are contrasted with.
        log_z: logarithm of the normalizers Z, `[2]`: (student anchors, teacher anchors);
            see `log_normalizer`.
        temperature: tau, at least 0.02.
        chunk: rows of the bank handled at a time where negatives are shared.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the temperature is below 0.02.

    Memory: O(b chunk + chunk d); with one draw per anchor O(b m d).
    Source: Tian, Krishnan, Isola 2020 (arXiv:1910.10699); several modules: Zhao, Chen, Zhao 2023
    (arXiv:2303.07599).
    """
    _check(temperature)
    draw, student, teacher = negatives.draw, full(student), full(teacher)
    z_student, z_teacher = log_z.tolist()
    if draw.rows is None or draw.rows.ndim == 1:
        loss: Tensor = SharedContrast.apply(
            student, teacher, negatives, (z_student, z_teacher), temperature, chunk
        )
        return loss
    of_student, of_teacher = (0, 1)
    return _one_way(student, of_teacher, negatives, z_student, temperature) + _one_way(
        teacher, of_student, negatives, z_teacher, temperature
    )


@torch.no_grad()
def log_normalizer(
    student: Float[Tensor, "b d"],
    teacher: Float[Tensor, "b d"],
    *,
    negatives: Negatives,
    temperature: float = 0.1,
    chunk: int = CHUNK,
) -> Float[Tensor, "2"]:
    r"""Logarithm of Z = N · mean(exp(score / tau)) over a first batch's positives and negatives.

    Args:
        student: unit vectors `[b, d]`.
        teacher: unit vectors `[b, d]`.
        negatives: what the anchors are contrasted with.
        temperature: tau, at least 0.02.
        chunk: rows of the bank handled at a time.

    Returns:
        `[2]`: (student anchors, teacher anchors).
    """
    _check(temperature)
    draw = negatives.draw
    means = []
    for anchor, side in ((student, 1), (teacher, 0)):
        scaled = full(anchor) / temperature
        own = (scaled * negatives.positives[side].to(scaled.dtype)).sum(1).exp()
        others = _mean_of_negatives(scaled, negatives.banks[side], draw, chunk)
        means.append(((own + draw.count * others) / (1 + draw.count)).mean())
    return torch.stack(means).log() + math.log(draw.count / draw.noise)


def _check(temperature: float) -> None:
    if not temperature >= COLDEST:
        raise MenteeError(f"contrast: temperature is {temperature}, expected at least {COLDEST}")


def _one_way(
    anchor: Tensor, side: int, negatives: Negatives, log_z: float, temperature: float
) -> Tensor:
    """One side's anchors against the other `side`'s rows, one draw per anchor, `[b]`."""
    draw = negatives.draw
    own = (anchor * negatives.positives[side].to(anchor.dtype)).sum(1) / temperature - log_z
    positive = F.softplus(math.log(draw.noise + EPS) - own)  # -log(p_0 / (p_0 + c + eps))
    drawn = negatives.banks[side][draw.rows].to(anchor.dtype)  # [b, m, d], as published
    log_ratio = torch.einsum("bmd,bd->bm", drawn, anchor) / temperature
    log_ratio = (log_ratio - log_z - math.log(draw.noise)).clamp(max=HIGHEST)
    each = torch.log1p(log_ratio.exp() + EPS / draw.noise)
    return positive + each.mean(1) * draw.count


def _mean_of_negatives(scaled: Tensor, bank: Tensor, draw: Draw, chunk: int) -> Tensor:
    """Mean of exp(score / tau) over each anchor's negatives, `[b]`."""
    if draw.rows is not None and draw.rows.ndim == 2:
        drawn = bank[draw.rows].to(scaled.dtype)
        return torch.einsum("bmd,bd->bm", drawn, scaled).exp().mean(1)
    total = scaled.new_zeros(len(scaled))
    for rows, mask in chunks(bank, draw, scaled.dtype, chunk):
        scores = product(scaled.to(rows.dtype), rows.T).to(scaled.dtype).exp_()
        if mask is not None:
            scores *= mask
        total += scores.sum(1)
    return total / draw.at_hand.clamp(min=1).to(scaled.dtype)
