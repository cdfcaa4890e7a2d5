"""A frozen network, read at its layers while the student trains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.features import Capture, Layer
from mentee.models import Contract, normalize
from mentee.parallel import gather_objects
from mentee.records.reader import pooled
from mentee.records.statistics import fit
from mentee.types import Batch, Features, Statistics


class OnlineTeacher:
    """A network in evaluation mode, without gradients, with an input normalization of its own.

    Not an `nn.Module`, so that it can never become a part of what is trained or saved.

    Args:
        network: the network, on the device it is to run on; it is frozen.
        layers: where it is read, from `mentee.features.resolve`.
        contract: what it reads.
        sample: gives batches of training examples, to measure how its vectors are distributed.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[Layer],
        contract: Contract,
        sample: Callable[[], Iterable[Batch]] | None = None,
    ) -> None:
        self.network = network.eval()
        for each in network.parameters():  # a scripted network has no requires_grad_
            each.requires_grad_(False)
        self.contract = contract
        self.layers = tuple(layers)
        self._capture = Capture(network, layers)
        self._sample, self._measured = sample, dict[str, Statistics]()

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
            self._measured = measure(self, self._sample, device)
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
        content = repr((self.weights_fingerprint(), [layer.path for layer in self.layers]))
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def measure(
    teacher: Callable[[Batch], Features],
    sample: Callable[[], Iterable[Batch]] | None,
    device: torch.device,
) -> dict[str, Statistics]:
    """The statistics of a teacher's vectors, over all processes' shares of a sample.

    Args:
        teacher: returns the features of a batch; maps and tokens are averaged to vectors.
        sample: gives the batches.
        device: where the teacher wants them.

    Returns:
        By layer. What is d wide takes O(d³).

    Raises:
        MenteeError: there is no sample.
    """
    if sample is None:
        raise MenteeError("the teacher has no examples to measure its vectors on")
    parts: dict[str, list[Tensor]] = {}
    for batch in sample():
        for name, features in teacher(batch.to(device)).items():
            parts.setdefault(name, []).append(pooled(features).float().cpu())
    own = {name: torch.cat(vectors) for name, vectors in parts.items()}
    shares = gather_objects(own or None)  # of a small sample a process may have none
    return {
        name: fit([share[name].numpy() for share in shares], vectors.shape[1])
        for name, vectors in (shares[0] if shares else {}).items()
    }
