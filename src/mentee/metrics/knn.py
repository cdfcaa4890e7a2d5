"""k nearest neighbors by cosine: predictions from vectors without training."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mentee.errors import DataError

BLOCK = 1024
"""Queries that are compared with all references at a time."""


def knn(
    references: Float[Tensor, "n d"],
    labels: Tensor,
    queries: Float[Tensor, "q d2"],
    *,
    classes: int,
    k: int = 20,
    temperature: float | None = 0.07,
    mask: Bool[Tensor, "n k"] | None = None,
) -> Float[Tensor, "q c"]:
    r"""The weighted mean label of the k references of the largest cosine.

    .. math:: p_c(x) = \frac{\sum_{j \in N_k(x)} w_j \, [y_j = c]}{\sum_{j \in N_k(x)} w_j},
              \quad w_j = \exp(\cos(x, x_j) / \tau)

    Without a temperature all neighbors weigh alike. Of one class an example it is the share of
    each class. Of labels `[n, k]` it is the mean of each, 0/1 or a real value, over the neighbors
    of which it is known; 0 where it is known of none.

    Args:
        references: `[n, d]`.
        labels: class numbers `[n]`, or 0/1 or real values `[n, c]`.
        queries: `[q, d]`.
        classes: c, how many classes or targets there are.
        k: neighbors, at least 1; no more than there are references.
        temperature: τ > 0, or None.
        mask: `[n, c]`, true where a label is known.

    Returns:
        `[q, c]`.

    Raises:
        DataError: a number is out of range, or the two have different widths.

    Memory: O(1024 n). Source: Wu et al. 2018, arXiv:1805.01978; k = 20, τ = 0.07 as in Caron et
    al. 2021, arXiv:2104.14294.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> knn(x, torch.tensor([0, 0, 1]), x[:1], classes=2, k=3, temperature=None)
        tensor([[0.6667, 0.3333]])
    """
    _check(references, queries, k, temperature)
    means = [
        _mean_labels(
            part @ F.normalize(references.float(), dim=1).T, labels, classes, k, temperature, mask
        )
        for part in torch.split(F.normalize(queries.float(), dim=1), BLOCK)
    ]
    return torch.cat(means)


def leave_one_out(
    vectors: Float[Tensor, "n d"],
    labels: Tensor,
    *,
    classes: int,
    k: int = 20,
    temperature: float | None = 0.07,
    mask: Bool[Tensor, "n k"] | None = None,
) -> Float[Tensor, "n c"]:
    """As `knn`, each example among all the others: no second part is needed.

    Args:
        vectors: `[n, d]`, at least two.
        labels: as for `knn`.
        classes: the same.
        k: the same.
        temperature: the same.
        mask: the same.

    Raises:
        DataError: as `knn`, or there is one example only.

    Memory: O(1024 n).

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> leave_one_out(x, torch.tensor([0, 0, 1]), classes=2, k=1).argmax(1)
        tensor([0, 0, 0])
    """
    _check(vectors, vectors, k, temperature)
    if len(vectors) < 2:
        raise DataError("one example has no neighbors; give two at least")
    k = min(k, len(vectors) - 1)
    means = [
        _mean_labels(c, labels, classes, k, temperature, mask) for c in cosines_to_others(vectors)
    ]
    return torch.cat(means)


def cosines_to_others(vectors: Float[Tensor, "n d"]) -> Iterator[Tensor]:
    """The cosines of each vector with all, `[block, n]` at a time; with itself it is −∞."""
    unit = F.normalize(vectors.float(), dim=1)
    for start in range(0, len(unit), BLOCK):
        cosines = unit[start : start + BLOCK] @ unit.T
        rows = torch.arange(len(cosines))
        cosines[rows, start + rows] = -torch.inf
        yield cosines


def _mean_labels(
    cosines: Tensor,
    labels: Tensor,
    classes: int,
    k: int,
    temperature: float | None,
    mask: Tensor | None,
) -> Tensor:
    """The weighted mean label of the k largest cosines of each row, `[q, c]`."""
    near, rows = cosines.topk(min(k, cosines.shape[1]), dim=1)
    weights = torch.ones_like(near)
    if temperature is not None:  # the largest is taken out, so that nothing overflows
        weights = ((near - near[:, :1]) / temperature).exp()
    if labels.ndim == 1:
        counts = torch.zeros(len(near), classes).scatter_add_(1, labels[rows], weights)
        return counts / weights.sum(1, keepdim=True)
    known = torch.ones_like(labels) if mask is None else mask.to(labels)
    total = torch.einsum("qk,qkc->qc", weights, known[rows])
    positive = torch.einsum("qk,qkc->qc", weights, (known * labels)[rows])
    return positive / total.clamp(min=torch.finfo(total.dtype).tiny)


def _check(references: Tensor, queries: Tensor, k: int, temperature: float | None) -> None:
    if k < 1 or (temperature is not None and not temperature > 0):
        raise DataError(
            f"k is {k}, temperature is {temperature}; expected at least 1, and above 0 or null"
        )
    if references.shape[1] != queries.shape[1]:
        raise DataError(
            f"references have {references.shape[1]} entries, queries {queries.shape[1]}; expected "
            "vectors of one network at one layer"
        )
