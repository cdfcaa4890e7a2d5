"""How alike the embeddings of two networks are, on the same examples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mentee.errors import DataError
from mentee.metrics.knn import cosines_to_others

RIDGE = 1e-3
"""What is added to the diagonal of the standardized entries' covariance."""


def linear_cka(first: Float[Tensor, "n d"], second: Float[Tensor, "n2 d2"]) -> float:
    r"""Linear CKA of two sets of vectors of the same examples.

    .. math::
        \frac{\lVert Y^\top X \rVert_F^2}
             {\lVert X^\top X \rVert_F \, \lVert Y^\top Y \rVert_F},
        \quad X, Y \text{ centered}

    It does not change when a set is turned, scaled or moved. The same number as `1 - losses.cka`,
    from the products of entries instead of examples, so that a whole test part fits in memory.

    Args:
        first: `[n, d]`.
        second: `[n, d2]`, of the same examples in the same order.

    Returns:
        In [0, 1]; 0 where one of them is the same for every example.

    Raises:
        DataError: they are not of the same number of examples.

    Memory: O(d² + d d2 + d2²), in float64. Source: Kornblith et al. 2019, arXiv:1905.00414.

    Example:
        >>> import torch
        >>> x = torch.randn(20, 3)
        >>> round(linear_cka(x, 2 * x.flip(1) + 1), 6)
        1.0
    """
    if len(first) != len(second):
        raise DataError(
            f"{len(first)} vectors and {len(second)}: similarity needs the same examples twice"
        )
    x, y = (each.double() - each.double().mean(0) for each in (first, second))
    lengths = float((x.T @ x).norm() * (y.T @ y).norm())
    return float((y.T @ x).square().sum()) / lengths if lengths > 0 else 0.0


def debiased_cka(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[list[float]]:
    r"""Linear CKA of each pair of two lists of layers, debiased for few examples.

    .. math::
        HSIC(K, L) = \frac{1}{n (n - 3)} \Bigl[\operatorname{tr} \tilde K \tilde L
            + \frac{1^\top \tilde K 1 \; 1^\top \tilde L 1}{(n - 1)(n - 2)}
            - \frac{2}{n - 2} 1^\top \tilde K \tilde L 1\Bigr], \quad
        CKA = \frac{HSIC(K, L)}{\sqrt{HSIC(K, K) HSIC(L, L)}}

    :math:`\tilde K` is :math:`X X^\top` with a diagonal of 0. With fewer examples than entries
    `linear_cka` is near 1 for anything; this one is 0 on average for unrelated layers.

    Args:
        first: `[n, d]` of each layer.
        second: `[n, d2]` of each, of the same n ≥ 4 examples in the same order.

    Returns:
        A row for each of the first, a number for each of the second, at most 1; about 0 or a little
        below: unrelated. 0 where a layer is the same for every example.

    Memory: O(n²) a layer. Source: Nguyen et al. 2021, arXiv:2010.15327 (eq. 3); Song et al. 2012.

    Example:
        >>> x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
        >>> [round(value, 6) for value in debiased_cka([x], [2 * x.flip(1) + 1, x[:, :0]])[0]]
        [1.0, 0.0]
    """

    def gram(x: Tensor) -> Tensor:
        centered = x.double() - x.double().mean(0)
        return (centered @ centered.T).fill_diagonal_(0.0)

    def hsic(k: Tensor, other: Tensor) -> float:
        n = len(k)
        rows, columns = k.sum(0), other.sum(0)
        ends = rows.sum() * columns.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (rows @ columns)
        return float((k * other).sum() + ends) / (n * (n - 3))

    one, two = ([gram(x) for x in each] for each in (first, second))
    own, others = ([hsic(k, k) for k in each] for each in (one, two))
    return [
        [
            hsic(k, g) / (a * b) ** 0.5 if a > 0 and b > 0 else 0.0
            for g, b in zip(two, others, strict=True)
        ]
        for k, a in zip(one, own, strict=True)
    ]


def explained_variance(student: Float[Tensor, "n d"], teacher: Float[Tensor, "n2 d2"]) -> float:
    r"""The share of the teacher's variance that a linear map of the student's vectors predicts.

    .. math:: R^2 = 1 - \frac{\sum_{i \in odd} \lVert t_i - W s_i - c \rVert^2}
                             {\sum_{i \in odd} \lVert t_i - \bar t \rVert^2}

    W, c are a ridge regression on the even examples, \bar t is their mean; each half of the set is
    judged by the other, and the two are averaged.

    Args:
        student: `[n, d]`.
        teacher: `[n, d2]`, of the same examples in the same order.

    Returns:
        At most 1; 0 or below: no better than the mean. 0 where the teacher's vectors are all equal.

    Raises:
        DataError: there are fewer than 4 examples, or not as many of either.

    Memory: O(d² + d d2), in float64.

    Example:
        >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        >>> round(explained_variance(x, x @ torch.ones(3, 2)), 3)
        1.0
    """
    refuse_unpaired(student, teacher)
    halves = [(student[i::2].double(), teacher[i::2].double()) for i in (0, 1)]
    return sum(held_out_r2(*halves[i], *halves[1 - i]) for i in (0, 1)) / 2


def held_out_r2(x: Tensor, y: Tensor, x_new: Tensor, y_new: Tensor) -> float:
    """R² of new examples, by a ridge regression on others."""
    center, spread, mean = x.mean(0), x.std(0).clamp(min=1e-12), y.mean(0)
    fitted, new = (x - center) / spread, (x_new - center) / spread
    gram = fitted.T @ fitted / len(x)
    gram.diagonal().add_(RIDGE)
    weights = torch.linalg.solve(gram, fitted.T @ (y - mean) / len(x))
    total = float((y_new - mean).square().sum())
    residual = float((y_new - mean - new @ weights).square().sum())
    return 1 - residual / total if total > 0 else 0.0


def shared_neighbors(
    student: Float[Tensor, "n d"], teacher: Float[Tensor, "n2 d2"], k: int = 10
) -> float:
    r"""The share of its k nearest others that an example has in common in student and teacher.

    .. math:: \frac{1}{n k} \sum_i \lvert N_k^s(i) \cap N_k^t(i) \rvert

    By chance it is k / (n − 1).

    Args:
        student: `[n, d]`.
        teacher: `[n, d2]`, of the same examples in the same order.
        k: neighbors, at least 1; no more than there are others.

    Returns:
        In [0, 1].

    Raises:
        DataError: there are fewer than 4 examples, not as many of either, or k is below 1.

    Memory: O(1024 n).

    Example:
        >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> shared_neighbors(x, 2 * x)
        1.0
    """
    refuse_unpaired(student, teacher)
    if k < 1:
        raise DataError(f"k is {k}; expected at least 1 neighbor")
    k = min(k, len(student) - 1)
    common = 0
    for pair in zip(cosines_to_others(student), cosines_to_others(teacher), strict=True):
        s, t = (cosines.topk(k, dim=1).indices for cosines in pair)
        common += int((s[:, :, None] == t[:, None, :]).sum())
    return common / (len(student) * k)


def refuse_unpaired(student: Tensor, teacher: Tensor) -> None:
    """Refuse sets that are not of the same examples."""
    if len(student) != len(teacher) or len(student) < 4:
        raise DataError(
            f"{len(student)} vectors of a student and {len(teacher)} of a teacher; expected the "
            "same examples twice, at least 4 of them"
        )
