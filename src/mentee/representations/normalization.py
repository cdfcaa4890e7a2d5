"""Unit vectors and z-scores, with bounded slopes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mentee.errors import PairError
from mentee.representations.adapter import Adapter, Shape

SHORTEST = 1e-3


def unit_norm(x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    r"""Scale each vector to length 1; one shorter than 1e-3 is divided by 1e-3 instead.

    .. math:: u = x / \max(\lVert x \rVert, 10^{-3})

    The bound keeps the slope at or below 1000: a dead unit gives a zero vector and a zero
    gradient through the length, where the plain quotient has none. The length of a vector in half
    precision is taken in float32, where its square does not overflow.

    Args:
        x: `[..., d]`.

    Returns:
        `[..., d]`.

    Example:
        >>> unit_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    scale = wide.square().sum(-1, keepdim=True).clamp(min=SHORTEST**2).rsqrt()
    return (wide * scale).to(x.dtype)


def unit_positions(x: Float[Tensor, "b d *hw"]) -> Float[Tensor, "b d *hw"]:
    """`unit_norm` over the channels, at each position."""
    return unit_norm(x.movedim(1, -1)).movedim(-1, 1)


def unit(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    r"""Unit vectors of the features, or of another representation, for the contrasts.

    .. math:: u = x / \max(\lVert x \rVert, 10^{-3})

    Of maps the vector at each point, of tokens each token. `unit` of `to_teacher`, of `pca` or of
    `random` (these with a `student_head`) trains a head of the student alone: the teacher's vectors
    are constants.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)`, `(t, d)` or `(d,)`.
        teacher: shape of the teacher's feature.

    Returns:
        The student's adapter and the teacher's.

    Memory: O(b d).

    Example:
        >>> s, t = unit((2,), (3,))
        >>> s(torch.tensor([[3.0, 4.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    return UnitVectors(), UnitVectors()


class UnitVectors(Adapter):
    """The adapter of `unit`, of student or teacher."""

    def forward(self, precomputed: Tensor) -> Tensor:
        """The same, of length 1."""
        return unit_norm(precomputed) if precomputed.ndim < 4 else unit_positions(precomputed)


def standardized(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    r"""Each example's entries minus their mean, divided by their deviation, on both sides.

    .. math:: \tilde z_{ic} = \frac{z_{ic} - \bar z_i}{\sigma_i + 10^{-7}}, \quad
              \sigma_i^2 = \frac{1}{k - 1} \sum_c (z_{ic} - \bar z_i)^2

    So the student need not have the teacher's confidence. A deviation below 1e-3 counts as 1e-3,
    which bounds the slope.

    Args:
        student: `(k,)`, k at least 2.
        teacher: shape of the teacher's feature.

    Returns:
        The student's adapter and the teacher's.

    Raises:
        PairError: a feature is no vector of at least two entries.

    Memory: O(b k). Source: Sun et al. 2024 (arXiv:2403.01427).

    Example:
        >>> s, t = standardized((3,), (3,))
        >>> [round(v, 4) for v in s(torch.tensor([[1.0, 2.0, 3.0]]))[0].tolist()]
        [-1.0, 0.0, 1.0]
    """
    for name, shape in (("student", student), ("teacher", teacher)):
        if len(shape) != 1 or shape[0] < 2:
            raise PairError(
                f"standardized: the {name}'s feature is {shape}, expected a vector of at least "
                "2 entries, such as logits"
            )
    return Standardized(), Standardized()


class Standardized(Adapter):
    """The adapter of `standardized`, of student or teacher."""

    def forward(self, precomputed: Tensor) -> Tensor:
        """The z-scores, `[b, k]`."""
        x = precomputed.float() if precomputed.element_size() < 4 else precomputed
        deviation = x.var(-1, keepdim=True).clamp(min=SHORTEST**2).sqrt()
        z_scores: Tensor = (x - x.mean(-1, keepdim=True)) / (deviation + 1e-7)
        return z_scores.to(precomputed.dtype)
