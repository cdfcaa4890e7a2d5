"""Inputs of the kind that a network reads, to try it without data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mentee.models import AudioContract, Contract, InputContract, TextContract, kind_of

RATE = 16_000
"""Samples a second of the clips, which is also the rate that the networks are built for."""
BYTES = 128
"""Of each text."""


@dataclass(frozen=True)
class TrialInputs:
    """What a network is tried with: its shape, its contract, and that in words."""

    shape: tuple[int, ...]
    contract: Contract
    title: str

    def batch(self, examples: int) -> Tensor:
        """Random images in [0, 1], clips in [-1, 1] or letters as bytes."""
        if isinstance(self.contract, TextContract):
            return torch.randint(ord("a"), ord("z") + 1, (examples, *self.shape)).to(torch.uint8)
        inputs = torch.rand(examples, *self.shape)
        return 2 * inputs - 1 if isinstance(self.contract, AudioContract) else inputs

    def blank(self, examples: int = 2) -> Tensor:
        """Black images, silent clips or one letter again and again: for shapes."""
        if isinstance(self.contract, TextContract):
            return torch.full((examples, *self.shape), ord("a"), dtype=torch.uint8)
        return torch.zeros(examples, *self.shape)


def trial_inputs(network: str, *, size: int, channels: int) -> TrialInputs:
    """The inputs of a network's kind: an image, a second of audio, or a text.

    Example:
        >>> trial_inputs("small-fcn", size=32, channels=3).title
        '1 s at 16000 Hz'
        >>> trial_inputs("resnet8-cifar", size=8, channels=1).batch(4).shape
        torch.Size([4, 1, 8, 8])
    """
    kind = kind_of(network)
    if kind == "audio":
        return TrialInputs((RATE,), AudioContract(RATE, 1.0), f"1 s at {RATE} Hz")
    if kind == "text":
        return TrialInputs((BYTES,), TextContract(BYTES), f"texts of {BYTES} bytes")
    half = (0.5,) * channels
    title = f"{channels} × {size} × {size}"
    return TrialInputs((channels, size, size), InputContract(half, half), title)
