r"""The labels of a batch, whether its examples were mixed with one another or not.

Of one class an example, with the example's share :math:`\lambda` and its partner j,

.. math:: \ell_i = \lambda \, \ell(z_i, y_i) + (1 - \lambda) \, \ell(z_i, y_j)

Of several labels, each is mixed from those of the two that are known:

.. math::
    \tilde y_{ic} = \frac{\lambda m_{ic} y_{ic} + (1 - \lambda) m_{jc} y_{jc}}
                         {\lambda m_{ic} + (1 - \lambda) m_{jc}}, \quad
    \tilde m_{ic} = m_{ic} \lor m_{jc}
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mentee.errors import MenteeError
from mentee.types import Batch


def labeled_weight(batch: Batch) -> Tensor:
    """What a loss of labeled examples, of one class each, is multiplied by: b over their number."""
    if batch.labeled is None:
        raise MenteeError("all examples of the batch have labels, or none")
    counts = batch.labeled.float()
    if batch.mixed is not None:
        counts = batch.mixed.of(counts)
    return len(batch) / counts.sum().clamp(min=1)


def mean_of_known(each: Tensor, mask: Tensor | None) -> Tensor:
    """Σ_k mask · each / max(1, Σ_k mask) for each example; without a mask all are known."""
    if mask is None:
        return each.mean(1)
    return (each * mask).sum(1) / mask.sum(1).clamp(min=1)


def entry_weight(mask: Tensor) -> Tensor:
    r"""What the means over each example's known labels are multiplied by, `[b]`.

    .. math:: w_i = b \, \frac{\sum_c m_{ic}}{\sum_{jc} m_{jc}}

    The mean over the batch then is that over all known labels of it: each counts the same, whether
    its example has others or not.
    """
    counts = mask.sum(1).double()
    return len(mask) * counts / counts.sum().clamp(min=1)


def by_class(batch: Batch, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """A loss `[b]` of each example by its class; of mixed examples, that of both by their shares.

    Raises:
        MenteeError: the batch has no labels.
    """
    if batch.labels is None:
        raise MenteeError("the method needs the class of each example, and the batch has no labels")
    if batch.mixed is None:
        return loss(batch.labels)
    partners = loss(batch.labels[batch.mixed.partner])
    return batch.mixed.share * loss(batch.labels) + (1 - batch.mixed.share) * partners


def mixed_labels(batch: Batch) -> Tensor:
    """Labels `[b, k]`, mixed as the examples are."""
    if batch.labels is None:
        raise MenteeError("the batch has no labels")
    if batch.mixed is None:
        return batch.labels
    known = torch.ones_like(batch.labels) if batch.mask is None else batch.mask.to(batch.labels)
    weights = batch.mixed.of(known).clamp(min=torch.finfo(known.dtype).tiny)
    return batch.mixed.of(known * batch.labels) / weights


def mixed_mask(batch: Batch) -> Tensor | None:
    """Which labels `[b, k]` are known, of a mixed example those of either; None: all are."""
    if batch.mask is None or batch.mixed is None:
        return batch.mask
    return batch.mask | batch.mask[batch.mixed.partner]
