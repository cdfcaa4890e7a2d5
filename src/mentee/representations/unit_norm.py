"""Unit vectors with a bounded slope."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

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
