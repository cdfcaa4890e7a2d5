r"""The contrastive agreement: noise-contrastive estimation of "the same example", both ways round.

For an anchor g, its positive row m_0 and K negative rows m_k of the other side (all unit vectors),

.. math::
    p_k = \exp(\langle m_k, g \rangle / \tau) / Z, \quad c = K / N, \quad
    \ell = -\log \frac{p_0}{p_0 + c + \epsilon} - \sum_{k=1}^{K} \log \frac{c}{p_k + c + \epsilon}

Both sums are computed from r = p / c, so that nothing is lost to rounding: the first is
softplus(log((c + eps) / p_0)), the second a sum of log(1 + eps / c + r_k).

Where all anchors share their m negatives, the sum over k is one matrix product, scores = g Mᵀ,
and its gradient another, (r / (1 + eps / c + r)) M / tau. Both are done chunk by chunk of M in the
forward pass, and only the gradient, [b, d], is kept for the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mentee.agree.batch import full
from mentee.errors import MenteeError

EPS = 1e-7
CHUNK = 2048
KEPT = 1 << 22
COLDEST = 0.02


@dataclass(frozen=True)
class Draw:
    """Which rows of a bank are negatives for a batch; one draw serves every module of a method.

    Attributes:
        rows: numbers of the rows: `[m]` shared by the whole batch, `[b, m]` one draw per anchor,
            None: all rows, shared.
        at_hand: `[b]`, how many of the shared rows are negatives for each anchor.
        groups: `[m]`, group of each shared row; one in the anchor's own group is no negative.
        anchors: `[b]`, group of each anchor; goes with `groups`.
        count: K, the number of negatives an anchor stands for. Where other than K are at hand,
            their sum is scaled to K, which leaves the expectation as it is.
        noise: c = K / N, with N the number of examples.
        masks: filled by `mask`, so that all modules share it.
    """

    rows: Int[Tensor, "..."] | None
    at_hand: Float[Tensor, " b"]
    groups: Int[Tensor, " m"] | None
    anchors: Int[Tensor, " b"] | None
    count: int
    noise: float
    masks: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def mask(self, start: int, stop: int, dtype: torch.dtype) -> Tensor | None:
        """1 where a shared row is a negative of an anchor, else 0: `[b, stop - start]`.

        None where all are. It is the same for every module and direction, and costs as much as
        the exponentials, so it is kept while the whole of it has no more than 2²² entries.
        """
        if self.groups is None or self.anchors is None:
            return None
        kept = self.masks.get((start, stop))
        if kept is None or kept.dtype != dtype:
            kept = (self.groups[None, start:stop] != self.anchors[:, None]).to(dtype)
            if len(self.groups) * len(self.anchors) <= KEPT:
                self.masks[start, stop] = kept
        return kept


@dataclass(frozen=True)
class Negatives:
    """What a batch is contrasted with, for both directions; constants, no gradient reaches them.

    Attributes:
        positives: the row of each anchor's own example, `[b, d]`: (student's side, teacher's side).
        banks: where negatives are taken from, `[n, d]` each: (student's side, teacher's side).
        draw: which rows of the banks are negatives.
    """

    positives: tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]
    banks: tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]
    draw: Draw


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

    .. math:: \ell_i = \ell(g^s_i; M^t) + \ell(g^t_i; M^s)

    Unlike other agreements it sends a gradient to the teacher's side too: there it trains the head
    on top of the frozen features, never the teacher.

    Args:
        student: unit vectors `[b, d]`.
        teacher: unit vectors `[b, d]`.
        negatives: what the anchors are contrasted with.
        log_z: logarithm of the normalisers Z, `[2]`: (student anchors, teacher anchors);
            see `log_normaliser`.
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
    of_student, of_teacher = (0, 1)
    return _one_way(student, of_teacher, negatives, log_z[0], temperature, chunk) + _one_way(
        teacher, of_student, negatives, log_z[1], temperature, chunk
    )


@torch.no_grad()
def log_normaliser(
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
    anchor: Tensor, side: int, negatives: Negatives, log_z: Tensor, temperature: float, chunk: int
) -> Tensor:
    """The loss of one side's anchors against the other `side`'s rows, `[b]`."""
    draw, anchor = negatives.draw, full(anchor)
    own = (anchor * negatives.positives[side].to(anchor.dtype)).sum(1) / temperature - log_z
    positive = F.softplus(math.log(draw.noise + EPS) - own)  # -log(p_0 / (p_0 + c + eps))
    log_scale = log_z + math.log(draw.noise)  # log r = score / tau - log_scale
    if draw.rows is not None and draw.rows.ndim == 2:
        drawn = negatives.banks[side][draw.rows].to(anchor.dtype)  # [b, m, d], as published
        log_ratio = torch.einsum("bmd,bd->bm", drawn, anchor) / temperature - log_scale
        each = torch.log1p(_bounded(log_ratio, temperature).exp() + EPS / draw.noise)
        return positive + each.mean(1) * draw.count
    total: Tensor = _SharedNegatives.apply(
        anchor, negatives.banks[side], draw, log_scale.to(anchor.dtype), temperature, chunk
    )
    return positive + total * (draw.count / draw.at_hand.to(anchor.dtype).clamp(min=1))


def _bounded(log_ratio: Tensor, temperature: float) -> Tensor:
    """Keep exp(log r) finite: at 80, r / (1 + r) is 1 already. Warm scores never get there."""
    return log_ratio.clamp_(max=80.0) if temperature < 0.05 else log_ratio


def _chunks(
    bank: Tensor, draw: Draw, dtype: torch.dtype, chunk: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The shared negative rows `[<= chunk, d]`, in one reused buffer, with their mask."""
    total = len(bank) if draw.rows is None else len(draw.rows)
    buffer = bank.new_empty(0 if draw.rows is None else min(chunk, total), bank.shape[1])
    for start in range(0, total, chunk):
        stop = min(start + chunk, total)
        if draw.rows is None:
            taken = bank[start:stop]
        else:
            taken = torch.index_select(bank, 0, draw.rows[start:stop], out=buffer[: stop - start])
        yield taken.to(dtype), draw.mask(start, stop, dtype)


def _mean_of_negatives(scaled: Tensor, bank: Tensor, draw: Draw, chunk: int) -> Tensor:
    """Mean of exp(score / tau) over each anchor's negatives, `[b]`."""
    if draw.rows is not None and draw.rows.ndim == 2:
        drawn = bank[draw.rows].to(scaled.dtype)
        return torch.einsum("bmd,bd->bm", drawn, scaled).exp().mean(1)
    total = scaled.new_zeros(len(scaled))
    for rows, mask in _chunks(bank, draw, scaled.dtype, chunk):
        scores = (scaled @ rows.T).exp()
        if mask is not None:
            scores *= mask
        total += scores.sum(1)
    return total / draw.at_hand.clamp(min=1).to(scaled.dtype)


class _SharedNegatives(torch.autograd.Function):
    """Sum over the shared negatives of log(1 + eps / c + r), `[b]`, with its analytic gradient."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        anchor: Tensor,
        bank: Tensor,
        draw: Draw,
        log_scale: Tensor,
        temperature: float,
        chunk: int,
    ) -> Tensor:
        scaled, one = anchor / temperature, 1 + EPS / draw.noise
        drawn = len(bank) if draw.rows is None else len(draw.rows)
        loss, gradient = torch.zeros_like(anchor[:, 0]), torch.zeros_like(anchor)
        # Reused by every chunk: fresh pages would cost as much as the exponentials.
        buffers = anchor.new_empty(2, len(anchor) * min(chunk, drawn))
        for rows, mask in _chunks(bank, draw, anchor.dtype, chunk):
            area = buffers[:, : len(anchor) * len(rows)].view(2, len(anchor), len(rows))
            log_ratio = torch.addmm(-log_scale, scaled, rows.T, out=area[0])
            ratio = _bounded(log_ratio, temperature).exp_()
            if mask is not None:
                ratio *= mask
            whole = torch.add(ratio, one, out=area[1])  # 1 + eps / c + r
            gradient.addmm_(ratio.div_(whole), rows)
            loss += whole.log_().sum(1)
        # A shared row that is no negative for an anchor has added log(1 + eps / c) there.
        loss -= (drawn - draw.at_hand.to(loss.dtype)) * math.log(one)
        ctx.save_for_backward(gradient.div_(temperature))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return outer[:, None] * gradient, None, None, None, None, None
