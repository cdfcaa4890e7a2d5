"""Cosine-distance difference: are two examples as alike for the student as for the teacher?"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.losses.batch_statistics import by_frame, unit


def cosine_distance_difference(
    student: Float[Tensor, "b ... sd"], teacher: Float[Tensor, "b ... td"]
) -> Float[Tensor, ""]:
    r"""Mean difference of all cosine similarities within the batch, frame by frame.

    .. math:: L = \frac{1}{t b^2} \sum_{f, i, j} \bigl| \langle \hat x_{if}, \hat x_{jf} \rangle
              - \langle \hat y_{if}, \hat y_{jf} \rangle \bigr|, \quad
              \hat x = x / \max(\lVert x \rVert, 10^{-3})

    The b similarities of an example with itself are among them, as published: they are 1 on both
    sides and add nothing, but for vectors shorter than 1e-3.

    Args:
        student: `[b, d]`, or `[b, t, d]` to compare the batch frame by frame.
        teacher: as many examples and frames, any width; no gradient reaches it.

    Returns:
        A scalar in [0, 2). It depends on the batch's size.

    Raises:
        MenteeError: the shapes do not go together.

    Memory: O(t b² + t b d). Source: Ding, Lerch 2023 (arXiv:2306.17424).

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> cosine_distance_difference(student, teacher).item()
        0.5
    """
    x, y = (
        unit(each) for each in by_frame("cosine_distance_difference", student, teacher.detach())
    )
    return (x @ x.mT - y @ y.mT).abs().mean()
