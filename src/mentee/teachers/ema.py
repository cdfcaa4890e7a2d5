"""The exponential moving average of the student as its teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from torch import nn

from mentee.errors import MenteeError
from mentee.features import Layer
from mentee.models import Contract
from mentee.teachers.online import OnlineTeacher
from mentee.types import Statistics


class EmaTeacher(OnlineTeacher):
    r"""A copy of the student that follows it, read in evaluation mode.

    .. math:: \bar\theta \leftarrow a \bar\theta + (1 - a) \theta

    after each step; batch statistics are the student's. Whoever trains updates the copy.

    Args:
        network: the copy.
        layers: where it is read.
        contract: what it reads.
        decay: a, in (0, 1).

    Source: Tarvainen and Valpola 2017, Mean teacher (arXiv:1703.01780); there each of the two gets
    its own noise, here both get the same view.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[Layer], contract: Contract, decay: float
    ) -> None:
        super().__init__(network, layers, contract)
        self.decay = decay

    def statistics(self, layer: str) -> Statistics:
        """There are none: its outputs change with every step.

        Raises:
            MenteeError: always.
        """
        raise MenteeError(
            f"the student's moving average has no fixed distribution at {layer}; take a "
            "representation that needs none, such as as_is or pooled"
        )

    def fingerprint(self) -> str:
        """32 hexadecimal digits of its decay and layers, whatever its weights are."""
        content = repr(("average", self.decay, [layer.path for layer in self.layers]))
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
