"""A frozen network, read at its places while the student trains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from mentee.capture import Capture, Place
from mentee.errors import MenteeError
from mentee.models import Contract, normalise
from mentee.parallel import gather_objects
from mentee.teachers.record.statistics import fit
from mentee.types import Batch, Features, Statistics


class LiveTeacher:
    """A network in evaluation mode, without gradients, with an input normalisation of its own.

    Not an `nn.Module`, so that it can never become a part of what is trained or saved.

    Args:
        network: the network, on the device it is to run on; it is frozen.
        places: where it is read, from `mentee.capture.resolve`.
        contract: what it reads.
        sample: gives batches of training examples, to measure how its vectors are distributed.
    """

    def __init__(
        self,
        network: nn.Module,
        places: Sequence[Place],
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
        return self._capture.capture(normalise(batch.inputs, self.contract))

    def statistics(self, place: str) -> Statistics:
        """How its vectors at a place are distributed, over the batches of `sample`.

        Raises:
            MenteeError: there is no `sample`.
        """
        if place not in self._measured:
            if self._sample is None:
                raise MenteeError("the teacher has no examples to measure its vectors on")
            said: dict[str, list[Tensor]] = {name: [] for name in self._names()}
            for batch in self._sample():
                for name, features in self(batch.to(self._device())).items():
                    axes = {2: (), 3: (1,), 4: (2, 3)}[features.ndim]
                    said[name].append((features.mean(axes) if axes else features).float().cpu())
            shares = gather_objects({name: torch.cat(parts) for name, parts in said.items()})
            self._measured = {
                name: fit([share[name].numpy() for share in shares], shares[0][name].shape[1])
                for name in said
            }
        return self._measured[place]

    def _names(self) -> list[str]:
        return [place.name for place in self.places]

    def _device(self) -> torch.device:
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the weights, the places and the normalisation."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            raw = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(raw.view(torch.uint8).numpy().tobytes())
        digest.update(repr((self.contract, [place.path for place in self.places])).encode())
        return digest.hexdigest()
