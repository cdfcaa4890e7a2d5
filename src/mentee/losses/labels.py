r"""What the labels of a batch say, whether its examples were mixed with one another or not.

Of one class an example, with the example's share :math:`\lambda` and its partner j,

.. math:: \ell_i = \lambda \, CE(z_i, y_i) + (1 - \lambda) \, CE(z_i, y_j)

Of several classes at once, each label is mixed from those of the two that are known:

.. math::
    \tilde y_{ic} = \frac{\lambda m_{ic} y_{ic} + (1 - \lambda) m_{jc} y_{jc}}
                         {\lambda m_{ic} + (1 - \lambda) m_{jc}}, \quad
    \tilde m_{ic} = m_{ic} \lor m_{jc}
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.task import task_loss
from mentee.types import Batch


def batch_loss(batch: Batch, logits: Tensor, *, smoothing: float = 0.0) -> Tensor:
    r"""The task's loss of each example of a batch.

    Of examples without labels it is 0, and that of the others is multiplied by b over their number:
    the mean over the batch is that over the labeled ones.

    Args:
        batch: its labels, their mask, and how its examples were mixed.
        logits: `[b, k]`.
        smoothing: label smoothing in [0, 1), for one class an example.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the batch has no labels.

    Memory: O(b k). Source: arXiv:1710.09412 (mixup), arXiv:2306.17424 (masks).
    """
    if batch.labels is None:
        raise MenteeError("the task's loss needs labels, and the batch has none")
    if batch.labels.ndim == 2:
        losses = task_loss(logits, batch_labels(batch), batch_mask(batch))
    else:
        losses = by_class(batch, partial(task_loss, logits, smoothing=smoothing))
    return losses if batch.labeled is None else losses * weight_of_labeled(batch)


def weight_of_labeled(batch: Batch) -> Tensor:
    """What a loss of a batch's labeled examples is multiplied by: b over their number."""
    if batch.labeled is None:
        raise MenteeError("all examples of the batch have labels, or none")
    counts = batch.labeled.float()
    if batch.mixed is not None:  # with a mixture of labels, of one class an example, in part
        several = batch.mask is not None
        partners = counts[batch.mixed.partner]
        counts = torch.maximum(counts, partners) if several else batch.mixed.of(counts)
    return len(batch) / counts.sum().clamp(min=1)


def by_class(batch: Batch, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """A loss of each example by its class; of mixed examples, that of both by their shares.

    Args:
        batch: one class an example.
        loss: class numbers `[b]` to losses `[b]`.

    Returns:
        One loss per example, `[b]`.

    Raises:
        MenteeError: the batch has no labels.
    """
    if batch.labels is None:
        raise MenteeError("the method needs the class of each example, and the batch has no labels")
    if batch.mixed is None:
        return loss(batch.labels)
    partners = loss(batch.labels[batch.mixed.partner])
    return batch.mixed.share * loss(batch.labels) + (1 - batch.mixed.share) * partners


def batch_labels(batch: Batch) -> Tensor:
    """The labels of several classes at once, mixed as the examples are, `[b, k]`."""
    if batch.labels is None:
        raise MenteeError("the batch has no labels")
    if batch.mixed is None:
        return batch.labels
    known = torch.ones_like(batch.labels) if batch.mask is None else batch.mask.to(batch.labels)
    weights = batch.mixed.of(known).clamp(min=torch.finfo(known.dtype).tiny)
    return batch.mixed.of(known * batch.labels) / weights


def batch_mask(batch: Batch) -> Tensor | None:
    """Which labels of several are known, of a mixed example those of either; None: all are."""
    if batch.mask is None or batch.mixed is None:
        return batch.mask
    return batch.mask | batch.mask[batch.mixed.partner]
