"""Several networks as one, by the mean of what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.models.contract import Contract, InputContract, normalize

Mean: TypeAlias = Literal["probabilities", "logits"]


class Ensemble(nn.Module):
    r"""Networks of the same classes, whose mean is what they say.

    .. math:: z = \log \frac{1}{m} \sum_j \mathrm{softmax}(z_j)
              \quad \text{or} \quad z = \frac{1}{m} \sum_j z_j

    The arithmetic mean of their probabilities, or, up to a constant, the geometric one. Where an
    example may have several classes, the probabilities are those of each class alone, and z is
    their mean's log-odds.

    Args:
        networks: at least one.
        contracts: what each of them reads, of inputs that are not normalized yet.
        mean: of what.
        several: whether an example may have several classes.

    Raises:
        MenteeError: there are none, or not as many contracts.

    Example:
        >>> none = InputContract((0.0,), (1.0,))
        >>> two = Ensemble([nn.Identity(), nn.ReLU()], [none, none], mean="logits")
        >>> two(torch.tensor([[[[-2.0, 4.0]]]])).flatten().tolist()
        [-1.0, 4.0]

    Source: Hinton et al. 2015 (arXiv:1503.02531) for both means; Lakshminarayanan et al. 2017
    (arXiv:1612.01474), deep ensembles, for that of probabilities.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        contracts: Sequence[Contract],
        *,
        mean: Mean = "probabilities",
        several: bool = False,
    ) -> None:
        super().__init__()
        if not networks or len(networks) != len(contracts):
            raise MenteeError(
                f"an ensemble of {len(networks)} networks was given {len(contracts)} inputs; "
                "expected at least one network, and as many of either"
            )
        self.networks, self.contracts = nn.ModuleList(networks), tuple(contracts)
        self.mean, self.several = mean, several

    def forward(self, x: Tensor) -> Float[Tensor, "b ..."]:
        """The mean, in float32 at least."""
        pairs = zip(self.networks, self.contracts, strict=True)
        given = [network(normalize(x, contract)) for network, contract in pairs]
        said: list[Tensor] = [getattr(each, "logits", each).float() for each in given]
        if len({each.shape for each in said}) > 1:
            counts = ", ".join(str(each.shape[-1]) for each in said)
            raise MenteeError(
                f"the networks of an ensemble say {counts} numbers; expected the same classes in "
                "the same order"
            )
        return mean_of(torch.stack(said), self.mean, several=self.several)

    @property
    def contract(self) -> Contract:
        """What it reads itself: images as they are, else what its networks read."""
        first = self.contracts[0]
        return InputContract((0.0,), (1.0,)) if isinstance(first, InputContract) else first

    def about(self) -> str:
        """All that its weights do not say of it."""
        return repr((self.contracts, self.mean, self.several))


def mean_of(logits: Float[Tensor, "m ..."], mean: Mean, *, several: bool) -> Tensor:
    """The logits of a mean, over the first axis.

    Args:
        logits: `[m, b, k]`.
        mean: of what.
        several: whether an example may have several classes.
    """
    if mean == "logits":
        return logits.mean(0)
    count = math.log(len(logits))
    if several:  # log p̄ − log(1 − p̄)
        return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
    return logits.log_softmax(-1).logsumexp(0) - count
