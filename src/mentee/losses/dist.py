"""Correlations of class probabilities: of an example's classes, and of a class's examples."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import SHORTEST, check_alike, check_positive, full


def dist(
    student: Float[Tensor, "b k"],
    teacher: Float[Tensor, "b k"],
    *,
    temperature: float = 4.0,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Float[Tensor, ""]:
    r"""One minus Pearson's correlation of softened probabilities, row by row and column by column.

    .. math:: L = T^2 \Bigl( \beta \bigl( 1 - \frac{1}{b} \sum_i \rho(q_{i \cdot}, p_{i \cdot})
              \bigr) + \gamma \bigl( 1 - \frac{1}{k} \sum_c \rho(q_{\cdot c}, p_{\cdot c}) \bigr)
              \Bigr)

    .. math:: \rho(u, v) = \frac{\langle \tilde u, \tilde v \rangle}
              {\lVert \tilde u \rVert \lVert \tilde v \rVert + 10^{-8}}, \quad \tilde u = u - \bar u

    with p the softmax of the teacher's logits over T, q of the student's. A norm below 1e-3 / k
    counts as that, which bounds the slope where nothing varies.

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.
        temperature: T > 0.
        beta: weight of the rows (between the classes of an example).
        gamma: weight of the columns (between the examples of the batch, at one class).

    Returns:
        A scalar; 0 where rows and columns are in proportion. It depends on the batch.

    Raises:
        MenteeError: the shapes differ, or the temperature is not positive.

    Memory: O(b k). Source: Huang et al. 2022 (arXiv:2205.10536).

    Example:
        >>> import torch
        >>> z = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
        >>> round(dist(z + 3, z).item(), 4)
        0.0
    """
    check_alike("dist", student, teacher)
    check_positive("dist", "temperature", temperature)
    q = (full(student) / temperature).softmax(1)
    p = (full(teacher.detach()) / temperature).softmax(1)
    shortest = SHORTEST / q.shape[1]
    rows = 1 - _correlation(q, p, shortest).mean()
    columns = 1 - _correlation(q.T, p.T, shortest).mean()
    return temperature**2 * (beta * rows + gamma * columns)


def _correlation(u: Tensor, v: Tensor, shortest: float) -> Tensor:
    """Pearson's correlation of each row of u with that of v."""
    u, v = u - u.mean(1, keepdim=True), v - v.mean(1, keepdim=True)
    of_u, of_v = (x.square().sum(1).clamp(min=shortest**2).sqrt() for x in (u, v))
    return (u * v).sum(1) / (of_u * of_v + 1e-8)
