"""Maps that give a teacher's vectors one spread in every direction, or in every entry."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mentee.representations.pooled import SMALLEST_STD
from mentee.types import Statistics


def whitening(found: Statistics) -> Float[Tensor, "m d"]:
    r"""Along the principal directions, each divided by its deviation.

    .. math:: W = \Lambda^{-1/2} V^\top

    Args:
        found: of the teacher's vectors; directions that hardly vary are left out.

    Returns:
        A matrix for centered vectors; what comes out has the unit matrix for a covariance.
    """
    directions, variances = _that_vary(found)
    return directions / variances.sqrt()[:, None]


def balancing(found: Statistics) -> Float[Tensor, "m d"]:
    r"""PHI standardization: turned until every entry varies alike, then divided by one number.

    .. math:: W = \frac{1}{\varphi} R V^\top, \quad \varphi^2 = \frac{1}{m} \sum_j \lambda_j, \quad
              (R \Lambda R^\top)_{jj} = \varphi^2

    Unlike whitening it keeps all proportions of distances: an error is the same share of the
    vectors' spread in whichever direction it is. R is a product of plane rotations, where the
    authors take Hadamard matrices: so any width will do.

    Args:
        found: of the teacher's vectors; directions that hardly vary are left out.

    Returns:
        A matrix for centered vectors; every entry of what comes out has variance 1.
    """
    directions, variances = _that_vary(found)
    return evenly_turned(variances).to(directions) @ directions / variances.mean().sqrt()


def evenly_turned(variances: Float[Tensor, " m"]) -> Float[Tensor, "m m"]:
    """A rotation R with equal entries on the diagonal of R diag(variances) R^T.

    Each turn, of the entry that varies least and the one that varies most, gives the former the
    mean; both are uncorrelated with all that are still to come.

    Example:
        >>> variances = torch.tensor([7.0, 1.0, 1.0])
        >>> r = evenly_turned(variances)
        >>> [round(v, 4) for v in (r @ torch.diag(variances) @ r.T).diag().tolist()]
        [3.0, 3.0, 3.0]
    """
    left = variances.double().clone()
    turned = torch.eye(len(left), dtype=torch.float64)
    mean, open_ = left.mean(), torch.ones(len(left), dtype=torch.bool)
    for _ in range(len(left) - 1):
        least = int(left.masked_fill(~open_, torch.inf).argmin())
        most = int(left.masked_fill(~open_, -torch.inf).argmax())
        open_[least] = False
        apart = left[most] - left[least]
        if least == most or apart <= 0:
            continue
        sine = ((mean - left[least]) / apart).clamp(0, 1).sqrt()  # cos² least + sin² most = mean
        cosine = (1 - sine.square()).sqrt()
        low, high = turned[least].clone(), turned[most].clone()
        turned[least], turned[most] = cosine * low + sine * high, cosine * high - sine * low
        left[most] = left[most] + left[least] - mean
        left[least] = mean
    return turned.to(variances.dtype)


def _that_vary(found: Statistics) -> tuple[Tensor, Tensor]:
    """(the principal directions, their variances), without those that say nothing."""
    some = found.variances > SMALLEST_STD**2 * found.variances.max()
    return found.components[some], found.variances[some]
