"""A frozen network, read at its places while the student trains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from mentee.features import Capture, Layer
from mentee.models import Contract, Ensemble, normalize
from mentee.teachers.statistics import measure
from mentee.types import Batch, Features, Statistics


class OnlineTeacher:
    """A network in evaluation mode, without gradients, with an input normalization of its own.

    Not an `nn.Module`, so that it can never become a part of what is trained or saved.

    Args:
        network: the network, on the device it is to run on; it is frozen.
        places: where it is read, from `mentee.features.resolve`.
        contract: what it reads.
        sample: gives batches of training examples, to measure how its vectors are distributed.
    """

    def __init__(
        self,
        network: nn.Module,
        places: Sequence[Layer],
        contract: Contract,
        sample: Callable[[], Iterable[Batch]] | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.contract = contract
        self.places = tuple(places)
        self._capture = Capture(network, places)
        self._sample, self._measured = sample, dict[str, Statistics]()

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """What the teacher says of a batch at each of its places."""
        return self._capture.capture(normalize(batch.inputs, self.contract))

    def statistics(self, place: str) -> Statistics:
        """How its vectors at a place are distributed, over the batches of `sample`.

        Raises:
            MenteeError: there is no `sample`.
        """
        if place not in self._measured:
            self._measured = measure(self, self._sample, self._device())
        return self._measured[place]

    def _device(self) -> torch.device:
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    def weights_fingerprint(self) -> str:
        """32 hexadecimal digits of the weights, normalization and size, wherever it is read."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            raw = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(raw.view(torch.uint8).numpy().tobytes())
        digest.update(repr(self.contract).encode())
        if resize := getattr(self.contract, "resize", None):
            digest.update(f"resized to {resize}".encode())
        if isinstance(self.network, Ensemble):
            digest.update(self.network.about().encode())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the weights, the places and the normalization."""
        said = repr((self.weights_fingerprint(), [place.path for place in self.places]))
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
