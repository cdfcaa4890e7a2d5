r"""The contrastive agreement: noise-contrastive estimation of "the same example", both ways round.

For an anchor g, its positive row m_0 and K negative rows m_k of the other side (all unit vectors),

.. math::
    p_k = \exp(\langle m_k, g \rangle / \tau) / Z, \quad c = K / N, \quad
    \ell = -\log \frac{p_0}{p_0 + c + \epsilon} - \sum_{k=1}^{K} \log \frac{c}{p_k + c + \epsilon}

Both sums are computed from r = p / c, so that nothing is lost to rounding: the first is
softplus(log((c + eps) / p_0)), the second a sum of log(1 + eps / c + r_k).

Where all anchors share their m negatives, the sum over k is one matrix product, scores = g Mᵀ,
and its gradient another, (r / (1 + eps / c + r)) M / tau. Both are done chunk by chunk of M in the
forward pass, and only the gradient, [b, d], is kept for the backward pass. Where M is kept in
bfloat16, so are the factors of both products, and their sums are not.
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
from mentee.agree.products import multiplies_halves, product
from mentee.errors import MenteeError

EPS = 1e-7
CHUNK = 2048
KEPT = 1 << 22
COLDEST = 0.02
HIGHEST = 80.0
"""Logarithm of the largest ratio: at it r / (1 + r) is 1 already, and float32 ends at 88."""
LONGEST = math.sqrt(3)
"""Of the rows of a bank: those of a new one, uniform in (-a, a) with a = sqrt(3 / d)."""
LOG2_E = math.log2(math.e)


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
    draw = negatives.draw
    anchors = torch.stack([full(student), full(teacher)])  # [2, b, d]
    positives = torch.stack(negatives.positives[::-1]).to(anchors.dtype)
    own = (anchors * positives).sum(2) / temperature - log_z.to(anchors)[:, None]
    positive = F.softplus(math.log(draw.noise + EPS) - own)  # -log(p_0 / (p_0 + c + eps))
    z_student, z_teacher = (log_z + math.log(draw.noise)).tolist()
    log_scales = z_student, z_teacher  # log r = score / tau - log_scale
    if draw.rows is not None and draw.rows.ndim == 2:
        negative = _each(anchors, negatives, log_scales, temperature) * draw.count
    else:
        total = _SharedNegatives.apply(
            anchors, negatives.banks, draw, log_scales, temperature, chunk
        )
        negative = total * (draw.count / draw.at_hand.to(anchors.dtype).clamp(min=1))
    return (positive + negative).sum(0)


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


def _each(
    anchors: Tensor, negatives: Negatives, log_scales: tuple[float, float], temperature: float
) -> Tensor:
    """Mean over one draw per anchor, as published, of log(1 + eps / c + r): `[2, b]`."""
    draw, means = negatives.draw, []
    for anchor, bank, log_scale in zip(anchors, negatives.banks[::-1], log_scales, strict=True):
        drawn = bank[draw.rows].to(anchor.dtype)  # [b, m, d]
        log_ratio = torch.einsum("bmd,bd->bm", drawn, anchor) / temperature - log_scale
        ratio = log_ratio.clamp(max=HIGHEST).exp()
        means.append(torch.log1p(ratio + EPS / draw.noise).mean(1))
    return torch.stack(means)


def _mean_of_negatives(scaled: Tensor, bank: Tensor, draw: Draw, chunk: int) -> Tensor:
    """Mean of exp(score / tau) over each anchor's negatives, `[b]`."""
    if draw.rows is not None and draw.rows.ndim == 2:
        drawn = bank[draw.rows].to(scaled.dtype)
        return torch.einsum("bmd,bd->bm", drawn, scaled).exp().mean(1)
    total = scaled.new_zeros(len(scaled))
    for rows, mask in _chunks(bank, draw, scaled.dtype, chunk):
        scores = product(scaled.to(rows.dtype), rows.T).to(scaled.dtype).exp_()
        if mask is not None:
            scores *= mask
        total += scores.sum(1)
    return total / draw.at_hand.clamp(min=1).to(scaled.dtype)


def _chunks(
    bank: Tensor, draw: Draw, dtype: torch.dtype, chunk: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The shared negative rows `[<= chunk, d]`, in one reused buffer, with their mask.

    Rows are of that dtype too, unless they are kept in bfloat16 and multiplied as quickly so.
    """
    halves = (bank.dtype, dtype) == (torch.bfloat16, torch.float32)
    kept = torch.bfloat16 if halves and multiplies_halves(bank.device) else dtype
    total = len(bank) if draw.rows is None else len(draw.rows)
    buffer = bank.new_empty(0 if draw.rows is None else min(chunk, total), bank.shape[1])
    for start in range(0, total, chunk):
        stop = min(start + chunk, total)
        if draw.rows is None:
            taken = bank[start:stop]
        else:
            taken = torch.index_select(bank, 0, draw.rows[start:stop], out=buffer[: stop - start])
        yield taken.to(kept), draw.mask(start, stop, dtype)


@dataclass(frozen=True)
class _Span:
    """How exp(score / tau) / scale is computed within the range of float32.

    Attributes:
        shift: taken from log2 of the exponential first. 0 but at temperatures and normalisers
            where it, or its quotient by the scale, might not be finite.
        inverse: what the exponential is multiplied with afterwards.
        group: of how many of (1 + ratio) the product is still finite, at most 8.
    """

    shift: float
    inverse: float
    group: int

    @classmethod
    def of(cls, temperature: float, log_scale: float) -> _Span:
        """The span for unit anchors and rows no longer than those of a new bank."""
        largest = LONGEST / temperature
        if largest + abs(log_scale) > HIGHEST:
            return cls(log_scale * LOG2_E, 1.0, 1)
        bound = math.log1p(math.exp(largest - log_scale))
        return cls(
            0.0,
            math.exp(-log_scale),
            max(g for g in (1, 2, 4, 8) if g == 1 or g * bound <= HIGHEST),
        )


def _add_up(
    loss: Tensor,
    gradient: Tensor,
    scaled: Tensor,
    chunks: Iterator[tuple[Tensor, Tensor | None]],
    span: _Span,
) -> None:
    """Add the sum over all negatives of log(1 + ratio) to `loss`, and tau times its gradient.

    Args:
        loss: `[b]`.
        gradient: `[b, d]`.
        scaled: the anchors times log2(e) / tau.
        chunks: of rows and their masks.
        span: how the ratios are computed.
    """
    one = scaled.new_ones(())
    for rows, mask in chunks:
        ratio = product(scaled.to(rows.dtype), rows.T).to(scaled.dtype)
        if span.shift:
            ratio.sub_(span.shift).clamp_(max=HIGHEST * LOG2_E)
        ratio.exp2_()  # a quarter of the time of exp_
        if mask is not None:
            ratio *= mask
        whole = torch.add(one, ratio, alpha=span.inverse)
        share = ratio.div_(whole).to(rows.dtype)
        gradient.add_(product(share, rows), alpha=span.inverse)
        loss += _sum_of_logs(whole, span.group)


def _sum_of_logs(x: Tensor, group: int) -> Tensor:
    """Sum of each row's logarithms, with one logarithm for `group` entries; x is written over."""
    while group > 1 and x.shape[1] % 2 == 0:
        half = x.shape[1] // 2
        x, group = x[:, :half].mul_(x[:, half:]), group // 2
    return x.log_().sum(1)


class _SharedNegatives(torch.autograd.Function):
    """Sum over the shared negatives of log(1 + eps / c + r), `[2, b]`, and its analytic gradient.

    With a = 1 + eps / c each summand is log a + log(1 + r / a), and its slope in the score
    (r / a) / (1 + r / a) / tau. A shared row that is no negative for an anchor has r = 0.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        anchors: Tensor,
        banks: tuple[Tensor, Tensor],
        draw: Draw,
        log_scales: tuple[float, float],
        temperature: float,
        chunk: int,
    ) -> Tensor:
        log_a = math.log1p(EPS / draw.noise)
        loss, gradient = torch.zeros_like(anchors[..., 0]), torch.zeros_like(anchors)
        scaled = anchors * (LOG2_E / temperature)
        for way, bank in enumerate(banks[::-1]):
            _add_up(
                loss[way],
                gradient[way],
                scaled[way],
                _chunks(bank, draw, anchors.dtype, chunk),
                _Span.of(temperature, log_scales[way] + log_a),
            )
        loss += draw.at_hand.to(loss.dtype) * log_a
        ctx.save_for_backward(gradient.div_(temperature))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return outer[..., None] * gradient, None, None, None, None, None
