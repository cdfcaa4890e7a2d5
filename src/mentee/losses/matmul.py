"""Matrix products by the quickest way that the device has, all with sums in float32 or wider."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def product(left: Float[Tensor, "b k"], right: Float[Tensor, "k m"]) -> Float[Tensor, "b m"]:
    """Left times right, in the dtype they share; no gradient flows.

    On x86, torch multiplies float32 matrices by MKL. oneDNN, which is what it multiplies all other
    dtypes and convolves by, took half the time on an AMD processor; the operator is the one that
    `torch.compile` uses for linear layers.

    Example:
        >>> product(torch.ones(2, 3), torch.ones(3, 4)).tolist()
        [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]]
    """
    if left.dtype == torch.float32 and left.device.type == "cpu" and _has_linear():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.T, None, "none", [], "")
        return result
    return left @ right


def multiplies_halves(device: torch.device) -> bool:
    """Whether products of bfloat16 are quicker than those of float32 there.

    Example:
        >>> multiplies_halves(torch.device("meta"))
        True
    """
    if device.type != "cpu":
        return True
    return torch._C._has_mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _has_linear() -> bool:
    return torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")
