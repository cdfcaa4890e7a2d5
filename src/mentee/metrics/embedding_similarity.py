"""How much of what a teacher says of examples is still in a student's embedding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mentee.errors import DataError
from mentee.metrics.knn import to_others

RIDGE = 1e-3
"""What is added to the diagonal of the standardized entries' covariance."""


def explained(student: Float[Tensor, "n d"], teacher: Float[Tensor, "n2 d2"]) -> float:
    r"""The share of the teacher's variance that a linear map of the student's vectors predicts.

    .. math:: R^2 = 1 - \frac{\sum_{i \in odd} \lVert t_i - W s_i - c \rVert^2}
                             {\sum_{i \in odd} \lVert t_i - \bar t \rVert^2}

    W, c are a ridge regression on the even examples, \bar t is their mean; each half of the set is
    judged by the other, and the two are averaged.

    Args:
        student: `[n, d]`.
        teacher: `[n, d2]`, of the same examples in the same order.

    Returns:
        At most 1; 0 or below: no better than the mean. 0 where the teacher says the same of all.

    Raises:
        DataError: there are fewer than 4 examples, or not as many of either.

    Memory: O(d² + d d2), in float64.

    Example:
        >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        >>> round(explained(x, x @ torch.ones(3, 2)), 3)
        1.0
    """
    check(student, teacher)
    halves = [(student[i::2].double(), teacher[i::2].double()) for i in (0, 1)]
    found = [judged(*halves[i], *halves[1 - i]) for i in (0, 1)]
    return sum(found) / 2


def judged(x: Tensor, y: Tensor, x_new: Tensor, y_new: Tensor) -> float:
    """R² of new examples, by a ridge regression on others."""
    middle, spread, mean = x.mean(0), x.std(0).clamp(min=1e-12), y.mean(0)
    seen, new = (x - middle) / spread, (x_new - middle) / spread
    gram = seen.T @ seen / len(x)
    gram.diagonal().add_(RIDGE)
    weights = torch.linalg.solve(gram, seen.T @ (y - mean) / len(x))
    total = float((y_new - mean).square().sum())
    left = float((y_new - mean - new @ weights).square().sum())
    return 1 - left / total if total > 0 else 0.0


def neighbors(student: Float[Tensor, "n d"], teacher: Float[Tensor, "n2 d2"], k: int = 10) -> float:
    r"""The share of an example's k nearest others, by cosine, that student and teacher agree on.

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
        >>> neighbors(x, 2 * x)
        1.0
    """
    check(student, teacher)
    if k < 1:
        raise DataError(f"k is {k}; expected at least 1 neighbor")
    k = min(k, len(student) - 1)
    near = (
        [cosines.topk(k, dim=1).indices for cosines in pair]
        for pair in zip(to_others(student), to_others(teacher), strict=True)
    )
    common = sum(int((mine[:, :, None] == theirs[:, None, :]).sum()) for mine, theirs in near)
    return common / (len(student) * k)


def check(student: Tensor, teacher: Tensor) -> None:
    """Refuse sets that are not of the same examples."""
    if len(student) != len(teacher) or len(student) < 4:
        raise DataError(
            f"{len(student)} vectors of a student and {len(teacher)} of a teacher; expected the "
            "same examples twice, at least 4 of them"
        )
