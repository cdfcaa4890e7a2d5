"""A frozen network, or the student's average, read at its layers while the student trains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.features import Capture, Layer
from mentee.models import Contract, normalize
from mentee.parallel import gather_objects
from mentee.records.manifest import checksum
from mentee.records.statistics import fit
from mentee.representations.pooled import averaged
from mentee.types import Batch, Features, Statistics

Measured: TypeAlias = dict[str, Statistics]
"""By layer."""


class OnlineTeacher:
    """A network in evaluation mode, without gradients, with an input normalization of its own.

    Not an `nn.Module`, so that it can never become a part of what is trained or saved.

    Args:
        network: the network, on the device it is to run on; it is frozen.
        layers: where it is read, from `mentee.features.resolve`.
        contract: what it reads.
        sample: gives batches of training examples, to measure how its vectors are distributed.
        once: called with what tells its fingerprint and what measures; it may know the result.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[Layer],
        contract: Contract,
        sample: Callable[[], Iterable[Batch]] | None = None,
        once: Callable[[Callable[[], str], Callable[[], Measured]], Measured] = lambda _, compute: (
            compute()
        ),
    ) -> None:
        self.network = network.eval()
        for each in network.parameters():  # a scripted network has no requires_grad_
            each.requires_grad_(False)
        self.contract = contract
        self.layers = tuple(layers)
        self._capture = Capture(network, layers)
        self._sample, self._once, self._measured = sample, once, Measured()

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """The features of a batch at each of its layers."""
        return self._capture.capture(normalize(batch.inputs, self.contract))

    def statistics(self, layer: str) -> Statistics:
        """How its vectors at a layer are distributed, over the batches of `sample`.

        Raises:
            MenteeError: there is no `sample`.
        """
        if layer not in self._measured:
            device = next((p.device for p in self.network.parameters()), torch.device("cpu"))
            self._measured = self._once(
                self.fingerprint, lambda: measure(self, self._sample, device)
            )
        return self._measured[layer]

    def clean_rows(self, rows: Tensor, columns: Sequence[str]) -> Features:
        """There are none: nothing is kept of what it computes.

        Raises:
            MenteeError: always.
        """
        raise MenteeError(
            "the memory record has rows of all training examples, and this teacher is a network "
            "of which nothing was recorded: mentee record RECIPE --out FOLDER, then teacher: "
            "{record: FOLDER}; or take the memory queue"
        )

    def weights_fingerprint(self) -> str:
        """32 hexadecimal digits of the weights, normalization and size, wherever it is read."""
        digest = hashlib.blake2b(digest_size=16)
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            # A quantized layer has its weight and bias as a tuple.
            for tensor in value if isinstance(value, tuple) else (value,):
                if not isinstance(tensor, Tensor):
                    digest.update(repr(tensor).encode())
                    continue
                dense = tensor.int_repr() if tensor.is_quantized else tensor
                raw = dense.detach().cpu().contiguous().reshape(-1)
                digest.update(raw.view(torch.uint8).numpy().tobytes())
        digest.update(repr(self.contract).encode())
        if resize := getattr(self.contract, "resize", None):
            digest.update(f"resized to {resize}".encode())
            if (how := getattr(self.contract, "interpolation", "bilinear")) != "bilinear":
                digest.update(how.encode())
        # Settings of a network that its state dict does not hold: the mean of an ensemble.
        digest.update(getattr(self.network, "fingerprint_settings", "").encode())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the weights, the layers and the normalization."""
        layers = [layer.path for layer in self.layers]
        return checksum(repr((self.weights_fingerprint(), layers)))


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
        """Refused: its outputs change with every step."""
        raise MenteeError(
            f"the student's moving average has no fixed distribution at {layer}; take a "
            "representation that needs none, such as as_is or pooled"
        )

    def fingerprint(self) -> str:
        """32 hexadecimal digits of its decay and layers, whatever its weights are."""
        return checksum(repr(("average", self.decay, [layer.path for layer in self.layers])))


def measure(
    teacher: Callable[[Batch], Features],
    sample: Callable[[], Iterable[Batch]] | None,
    device: torch.device,
) -> Measured:
    """The statistics of a teacher's vectors, over all processes' shares of a sample, by layer.

    Maps and tokens are averaged to vectors. What is d wide takes O(d³).

    Raises:
        MenteeError: there is no sample.
    """
    if sample is None:
        raise MenteeError("the teacher has no examples to measure its vectors on")
    parts: dict[str, list[Tensor]] = {}
    for batch in sample():
        for name, features in teacher(batch.to(device)).items():
            parts.setdefault(name, []).append(averaged(features).float().cpu())
    own = {name: torch.cat(vectors) for name, vectors in parts.items()}
    shares = gather_objects(own or None)  # of a small sample a process may have none
    return {
        name: fit([share[name].numpy() for share in shares], vectors.shape[1])
        for name, vectors in (shares[0] if shares else {}).items()
    }
