"""The task's own loss: what the labels say, without any teacher."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def task_loss(
    logits: Float[Tensor, "b k"],
    labels: Tensor,
    mask: Bool[Tensor, "b k"] | None = None,
    *,
    smoothing: float = 0.0,
) -> Float[Tensor, " b"]:
    """Cross-entropy for one class an example, masked binary cross-entropy for several at once.

    Args:
        logits: `[b, k]`.
        labels: class numbers `[b]` (integers; −1: not known), or 0/1 `[b, k]` (floats).
        mask: `[b, k]`, true where a label of several is known; None: all are.
        smoothing: label smoothing in [0, 1), for one class an example.

    Returns:
        One loss per example, `[b]`, 0 for one of which no label is known; with several classes,
        the mean over the known labels.

    Memory: O(b k).

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 0.0]])
        >>> round(task_loss(logits, torch.tensor([1])).item(), 4)
        0.6931
        >>> known = torch.tensor([[True, False]])
        >>> round(task_loss(logits, torch.tensor([[1.0, 0.0]]), known).item(), 4)
        0.6931
    """
    if labels.ndim == 1:
        return F.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing, ignore_index=-1
        )
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    if mask is None:
        return each.mean(1)
    return (each * mask).sum(1) / mask.sum(1).clamp(min=1)
