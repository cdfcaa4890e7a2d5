r"""The contrasts of a batch with rows of a memory: value and gradient at once, chunk by chunk.

The rows are constants; the gradient reaches the anchors and their positives, which are vectors of
the same step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mentee.losses.fused import row_kernels
from mentee.losses.matmul import product
from mentee.losses.negatives import Draw, chunks
from mentee.losses.shared_negatives import LOG2_E, Span, sum_of_negatives

CHUNK = 4096
LOWEST = -1e30
"""Stands for the highest score where there is none: it is finite, and its exponential 0."""


class SoftmaxOfRows(torch.autograd.Function):
    """Minus the log-probability of the positive, `[b]`, among itself and the rows of a draw."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        anchors: Tensor,
        positives: Tensor,
        bank: Tensor,
        draw: Draw,
        temperature: float,
        decoupled: bool,
    ) -> Tensor:
        """Value and gradients of anchors and positives, `[b, d]`."""
        scaled = anchors / temperature
        own = (scaled * positives).sum(1)
        kept = torch.ones_like(own)  # whether the positive is in the denominator
        if decoupled:
            kept = (draw.at_hand == 0).to(own.dtype)
        highest, total = torch.where(kept > 0, own, LOWEST), kept
        mean = total[:, None] * positives  # of the rows, by their exponentials
        highest, total, mean = with_rows((highest, total, mean), scaled, bank, draw)
        share = kept * (own - highest).clamp(max=0).exp() / total
        of_anchors = (mean / total[:, None] - positives) / temperature
        of_positives = anchors * ((share - 1) / temperature)[:, None]
        ctx.save_for_backward(of_anchors, of_positives)
        return total.log() + highest - own

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        """Both gradients, each example's times what its loss counts for."""
        anchors, positives = ctx.saved_tensors  # type: ignore[attr-defined]
        return outer[:, None] * anchors, outer[:, None] * positives, None, None, None, None


def with_rows(
    sums: tuple[Tensor, Tensor, Tensor], scaled: Tensor, bank: Tensor, draw: Draw
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over the rows of a draw added to those so far.

    Args:
        sums: the highest score, `[b]`; relative to it the sum of exponentials, `[b]`, and of the
            vectors weighted by them, `[b, d]`.
        scaled: the anchors divided by tau.
        bank: the rows are taken from.
        draw: which of them.
    """
    highest, total, mean = sums
    if (kernels := row_kernels(scaled, bank, draw)) is not None:
        of_rows, others, vectors = kernels.softmax_sums(scaled, bank, draw)
        top = torch.maximum(highest, of_rows)
        shrink, grown = (highest - top).exp(), (of_rows - top).exp()
        mean = mean * shrink[:, None] + vectors * grown[:, None]
        return top, total * shrink + others * grown, mean
    for rows, mask in chunks(bank, draw, scaled.dtype, CHUNK):
        scores = product(scaled.to(rows.dtype), rows.T).to(scaled.dtype)
        if mask is not None:
            scores.masked_fill_(mask == 0, -torch.inf)
        top = torch.maximum(highest, scores.amax(1))
        shrink = (highest - top).exp()
        scores.sub_(top[:, None]).exp_()
        total = total * shrink + scores.sum(1)
        weighted = product(scores.to(rows.dtype), rows).to(scaled.dtype)
        mean, highest = mean * shrink[:, None] + weighted, top
    return highest, total, mean


class SigmoidOfRows(torch.autograd.Function):
    """Sum over the rows of a draw of log(1 + exp(score / tau + bias)), `[b]`."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, anchors: Tensor, bank: Tensor, draw: Draw, temperature: float, bias: float
    ) -> Tensor:
        """Value and the gradient of the anchors, `[b, d]`."""
        if anchors.device.type == "cpu":
            longest = anchors.norm(dim=1).amax().clamp(min=1).item()
            span = Span.of(temperature / longest, -bias)
        else:  # for anchors of any length, which the host would have to wait for
            span = Span(-bias * LOG2_E, 1.0, 1)
        loss, gradient = sum_of_negatives(anchors * (LOG2_E / temperature), bank, draw, span, CHUNK)
        ctx.save_for_backward(gradient / temperature)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient, each example's times what its loss counts for."""
        (anchors,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return outer[:, None] * anchors, None, None, None, None
