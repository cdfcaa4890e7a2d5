"""How alike two networks see the same examples."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mentee.errors import DataError


def similarity(first: Float[Tensor, "n d"], second: Float[Tensor, "n2 d2"]) -> float:
    r"""Linear CKA of two sets of vectors of the same examples.

    .. math::
        \frac{\lVert Y^\top X \rVert_F^2}
             {\lVert X^\top X \rVert_F \, \lVert Y^\top Y \rVert_F},
        \quad X, Y \text{ centered}

    It does not change when a set is turned, scaled or moved. The same number as `1 - agree.cka`,
    from the products of entries instead of examples, so that a whole test part fits.

    Args:
        first: `[n, d]`.
        second: `[n, d2]`, of the same examples in the same order.

    Returns:
        In [0, 1]; 0 where one of them says the same of every example.

    Raises:
        DataError: they are not of the same number of examples.

    Memory: O(d² + d d2 + d2²), in float64. Source: Kornblith et al. 2019, arXiv:1905.00414.

    Example:
        >>> import torch
        >>> x = torch.randn(20, 3)
        >>> round(similarity(x, 2 * x.flip(1) + 1), 6)
        1.0
    """
    if len(first) != len(second):
        raise DataError(
            f"{len(first)} vectors and {len(second)}: similarity needs the same examples twice"
        )
    x, y = (each.double() - each.double().mean(0) for each in (first, second))
    lengths = float((x.T @ x).norm() * (y.T @ y).norm())
    return float((y.T @ x).square().sum()) / lengths if lengths > 0 else 0.0
