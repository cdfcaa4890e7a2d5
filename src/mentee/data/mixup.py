"""Mixup: every example of a batch is mixed with another one of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from mentee.errors import DataError
from mentee.types import Batch, Mixup

_LOW_64 = (1 << 64) - 1


def mix(batch: Batch, *, alpha: float, seed: int, step: int) -> Batch:
    """Mix the inputs of a batch: images, or audio.

        λ ~ Beta(α, α),  λ ← max(λ, 1 − λ),  xᵢ ← λ xᵢ + (1 − λ) x_π(i)

    One λ and one random permutation π are drawn for the batch, from (seed, step) and nothing else.
    Labels, mask and ids stay as they are: a loss, or a teacher's features, mix theirs with `mixed`.

    Args:
        batch: `b` examples, with floating-point inputs that are not mixed yet.
        alpha: α > 0; the smaller, the less is mixed: 0.3 in EAsT, 0.2 to 1 elsewhere.
        seed: another seed, other draws.
        step: the optimizer step.

    Returns:
        The batch with mixed inputs, of the same memory format, and `mixed` saying how.

    Raises:
        DataError: the inputs are text, or mixed already, or α is not above 0.

    Example:
        >>> x, two = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.arange(2)
        >>> mixed = mix(Batch(x, ids=two, rows=two), alpha=0.3, seed=0, step=1)
        >>> bool(torch.equal(mixed.inputs, mixed.mixed.of(x)))
        True

    Reference:
        Zhang et al., mixup, 2018, arXiv 1710.09412; max(λ, 1 − λ) as in EAsT, arXiv 2306.17424.
    """
    if not batch.inputs.is_floating_point():
        raise DataError(
            f"mixup cannot mix {batch.inputs.dtype} inputs: the bytes of texts have no mean; "
            "leave mixup out, or use it for images or audio"
        )
    if batch.mixed is not None:
        raise DataError("the batch is mixed already: mix it once")
    if not alpha > 0:
        raise DataError(f"mixup with alpha {alpha}: expected a number above 0, such as 0.3")
    draw = np.random.default_rng([seed & _LOW_64, step])
    share = float(draw.beta(alpha, alpha))
    share = max(share, 1 - share)
    partner = torch.from_numpy(draw.permutation(len(batch))).to(batch.inputs.device)
    inputs = share * batch.inputs
    inputs.add_(batch.inputs[partner], alpha=1 - share)
    return replace(batch, inputs=inputs, mixed=Mixup(partner, share))
