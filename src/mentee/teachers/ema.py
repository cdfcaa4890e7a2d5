"""The student's own moving average as its teacher."""

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

    after each step; batch statistics are the student's. Whoever trains moves the copy on.

    Args:
        network: the copy.
        places: where it is read.
        contract: what it reads.
        decay: a, in (0, 1).

    Source: Tarvainen and Valpola 2017, Mean teacher (arXiv:1703.01780); there each of the two sees
    its own noise, here both see the same view.
    """

    def __init__(
        self, network: nn.Module, places: Sequence[Layer], contract: Contract, decay: float
    ) -> None:
        super().__init__(network, places, contract)
        self.decay = decay

    def statistics(self, place: str) -> Statistics:
        """There are none: what it says changes with every step.

        Raises:
            MenteeError: always.
        """
        raise MenteeError(
            f"the student's moving average has no fixed distribution at {place}; take a "
            "representation that asks for none, such as as_is or vectors"
        )

    def fingerprint(self) -> str:
        """32 hexadecimal digits of what it is, whatever it has become."""
        said = repr(("average", self.decay, [place.path for place in self.places]))
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
