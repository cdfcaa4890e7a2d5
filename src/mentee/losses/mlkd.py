"""Who is predicted like whom: the examples of a batch, and the classes over a batch."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import check_alike, check_positive, full


def batch_level(
    student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"], *, temperature: float = 4.0
) -> Float[Tensor, ""]:
    r"""Squared differences of the examples' inner products of softened predictions.

    .. math:: L = \frac{1}{b} \lVert q q^\top - p p^\top \rVert_F^2, \quad
              p = \mathrm{softmax}(z^t / T), \; q = \mathrm{softmax}(z^s / T)

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.
        temperature: T > 0.

    Returns:
        A scalar; it depends on the batch's size.

    Raises:
        MenteeError: the shapes differ, or the temperature is not positive.

    Memory: O(b² + b k). Source: Jin, Wang, Lin 2023, "Multi-level logit distillation" (CVPR).

    Example:
        >>> import torch
        >>> batch_level(torch.eye(3), torch.eye(3)).item()
        0.0
    """
    q, p = _softened("batch_level", student, teacher, temperature)
    return (q @ q.T - p @ p.T).square().sum() / len(q)


def class_level(
    student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"], *, temperature: float = 4.0
) -> Float[Tensor, ""]:
    r"""Squared differences of the classes' inner products of softened predictions.

    .. math:: L = \frac{1}{k} \lVert q^\top q - p^\top p \rVert_F^2, \quad
              p = \mathrm{softmax}(z^t / T), \; q = \mathrm{softmax}(z^s / T)

    Args:
        student: logits `[b, k]`.
        teacher: logits `[b, k]`; no gradient reaches them.
        temperature: T > 0.

    Returns:
        A scalar; it grows with the batch's size.

    Raises:
        MenteeError: the shapes differ, or the temperature is not positive.

    Memory: O(k² + b k). Source: Jin, Wang, Lin 2023, "Multi-level logit distillation" (CVPR).

    Example:
        >>> import torch
        >>> class_level(torch.eye(3), torch.eye(3)).item()
        0.0
    """
    q, p = _softened("class_level", student, teacher, temperature)
    return (q.T @ q - p.T @ p).square().sum() / q.shape[1]


def _softened(
    name: str, student: Tensor, teacher: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    check_alike(name, student, teacher)
    check_positive(name, "temperature", temperature)
    return (full(student) / temperature).softmax(1), (full(teacher.detach()) / temperature).softmax(
        1
    )
