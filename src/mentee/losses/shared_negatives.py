r"""The contrast of a batch whose anchors share their negatives: its value and its gradient at once.

With a = 1 + eps / c, and r = p / c of a negative, its summand and the slope in its score are

.. math::
    \log(a + r) = \log a + \log(1 + r / a), \qquad \frac{1}{\tau} \frac{r / a}{1 + r / a}

so that a shared row that is no negative for an anchor counts as r = 0. All scores are one matrix
product and the gradient is another; the exponentials and the rest are as few passes as torch has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mentee.losses.fused import row_kernels
from mentee.losses.matmul import product
from mentee.losses.negatives import Draw, Negatives, chunks

EPS = 1e-7
HIGHEST = 80.0
"""Logarithm of the largest ratio: at it r / (1 + r) is 1 already, and float32 ends at 88."""
LONGEST = math.sqrt(3)
"""Of the rows of a bank: those of a new one, uniform in (-a, a) with a = sqrt(3 / d)."""
LOG2_E = math.log2(math.e)


class SharedContrast(torch.autograd.Function):
    """Both directions of the contrast, `[b]`; only the gradients, `[b, d]`, are kept."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        student: Tensor,
        teacher: Tensor,
        negatives: Negatives,
        log_z: tuple[float, float],
        temperature: float,
        chunk: int,
    ) -> Tensor:
        """Value and gradients; arguments as those of `contrast`."""
        draw = negatives.draw
        c, log_a = draw.noise, math.log1p(EPS / draw.noise)
        at_hand = draw.at_hand.to(student.dtype)
        weight = draw.count / at_hand.clamp(min=1)
        loss, gradients = torch.zeros_like(student[:, 0]), []
        for anchor, side, z in ((student, 1, log_z[0]), (teacher, 0, log_z[1])):
            span = Span.of(temperature, z + math.log(c) + log_a)
            scaled, bank = anchor * (LOG2_E / temperature), negatives.banks[side]
            others, gradient = sum_of_negatives(scaled, bank, draw, span, chunk)
            own = negatives.positives[side].to(anchor.dtype)
            # log((c + eps) / p_0), whose softplus is -log(p_0 / (p_0 + c + eps))
            odds = math.log(c + EPS) + z - (anchor * own).sum(1) / temperature
            loss += F.softplus(odds) + weight * (others + at_hand * log_a)
            gradient *= weight[:, None]
            gradient -= odds.sigmoid()[:, None] * own
            gradients.append(gradient.div_(temperature))
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, each example's times what its loss counts for."""
        student, teacher = ctx.saved_tensors  # type: ignore[attr-defined]
        return outer[:, None] * student, outer[:, None] * teacher, None, None, None, None


@dataclass(frozen=True)
class Span:
    """How exp(score / tau) / scale is computed within the range of float32.

    Attributes:
        shift: taken from log2 of the exponential first; None but at temperatures and scales
            where the exponential or its quotient might not be finite.
        inverse: what the exponential is multiplied with afterwards.
        group: how many of (1 + ratio) may be multiplied before one logarithm, at most 8.
    """

    shift: float | None
    inverse: float
    group: int

    @classmethod
    def of(cls, temperature: float, log_scale: float) -> Span:
        """The span for unit anchors and rows no longer than those of a new bank.

        Example:
            >>> Span.of(0.1, math.log(16384)).group, Span.of(0.02, 10.0).shift is None
            (8, False)
        """
        largest = LONGEST / temperature
        if largest + abs(log_scale) > HIGHEST:
            return cls(log_scale * LOG2_E, 1.0, 1)
        bound = math.log1p(math.exp(largest - log_scale))  # of log(1 + ratio)
        group = next(g for g in (8, 4, 2, 1) if g * bound <= HIGHEST or g == 1)
        return cls(None, math.exp(-log_scale), group)


def sum_of_negatives(
    scaled: Tensor, bank: Tensor, draw: Draw, span: Span, chunk: int
) -> tuple[Tensor, Tensor]:
    """Sum over all negatives of log(1 + ratio), `[b]`, and tau times its gradient, `[b, d]`.

    Args:
        scaled: the anchors times log2(e) / tau.
        bank: the rows are taken from.
        draw: which of them.
        span: how the ratios are computed.
        chunk: rows that are handled at a time, unless a kernel does it.
    """
    if (kernels := row_kernels(scaled, bank, draw)) is not None:
        shift = -math.log2(span.inverse) if span.shift is None else span.shift
        sums: tuple[Tensor, Tensor] = kernels.ratio_sums(scaled, bank, draw, shift)
        return sums
    loss, gradient = torch.zeros_like(scaled[:, 0]), torch.zeros_like(scaled)
    for rows, mask in chunks(bank, draw, scaled.dtype, chunk):
        ratio = product(scaled.to(rows.dtype), rows.T).to(scaled.dtype)
        if span.shift is not None:
            ratio.sub_(span.shift).clamp_(max=HIGHEST * LOG2_E)
        ratio.exp2_()  # a quarter of the time of exp_
        if mask is not None:
            ratio *= mask
        whole = torch.add(scaled.new_ones(()), ratio, alpha=span.inverse)
        share = ratio.div_(whole).to(rows.dtype)
        gradient.add_(product(share, rows), alpha=span.inverse)
        loss += sum_of_logs(whole, span.group)
    return loss, gradient


def sum_of_logs(x: Tensor, group: int) -> Tensor:
    """Sum of each row's logarithms, one for the product of `group` entries; x is written over.

    In float32 (1 + a)(1 + b) loses a b where that is below 6e-8: with eight entries up to 2e-4 of
    the sum. The gradient is not made from it.

    Example:
        >>> sum_of_logs(torch.tensor([[1.0, 2.0, 4.0, 8.0]]), 2) / math.log(2)
        tensor([6.])
    """
    while group > 1 and x.shape[1] % 2 == 0:
        half = x.shape[1] // 2
        x, group = x[:, :half].mul_(x[:, half:]), group // 2
    return x.log_().sum(1)
