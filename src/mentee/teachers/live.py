"""A frozen network, read at its places while the student trains."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import nn

from mentee.capture import Capture, Place
from mentee.models import InputContract, normalise
from mentee.types import Batch, Features


class LiveTeacher:
    """A network in evaluation mode, without gradients, with an input normalisation of its own.

    Not an `nn.Module`, so that it can never become a part of what is trained or saved.

    Args:
        network: the network, on the device it is to run on; it is frozen.
        places: where it is read, from `mentee.capture.resolve`.
        contract: how images in [0, 1] have to be changed for it.
    """

    def __init__(
        self, network: nn.Module, places: Sequence[Place], contract: InputContract
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.contract = contract
        self.places = tuple(places)
        self._capture = Capture(network, places)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """What the teacher says of a batch at each of its places."""
        return self._capture.capture(normalise(batch.inputs, self.contract))

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the weights, the places and the normalisation."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            raw = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(raw.view(torch.uint8).numpy().tobytes())
        digest.update(repr((self.contract, [place.path for place in self.places])).encode())
        return digest.hexdigest()
