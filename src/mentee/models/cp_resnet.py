"""The residual network whose receptive field is bounded: CP-ResNet, for clips of audio."""

from __future__ import annotations

from collections.abc import Container
from typing import ClassVar, TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.models.audio import MelInput, halve
from mentee.models.layers import global_average, initialize, read_at

BLOCKS = 4
"""Blocks of each of the three stages."""


class BoundedBlock(nn.Module):
    """Two convolutions of given kernels and a shortcut: relu(f(x) + x), without stride."""

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, int]) -> None:
        super().__init__()
        first, second = kernels
        self.conv1 = nn.Conv2d(inputs, outputs, first, padding=first // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, second, padding=second // 2, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            None
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        )
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Apply the block."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        activated: Tensor = self.relu2(out)
        return activated


class CPResNet(nn.Module):
    r"""A residual network over the log-mel spectrogram with a bounded receptive field: 5.53 M.

    Three stages of four blocks with c, 2 c and 4 c channels; a stem of 5×5 with stride 2; in the
    first stage a max-pooling behind blocks 1, 2 and 4. :math:`\rho` says which kernels are 3×3, the
    others being 1×1. With :math:`e = \rho - 7`, block i = 0 … 3 has a 3×3 kernel

    * in stage 1: as its first where i = 0 or e ≥ 2 i − 8; as its second where i > 0, e ≥ 2 i − 7;
    * in stage 2: as its first where e ≥ 2 i; as its second as in stage 1;
    * in stage 3: as its first where e ≥ 2 i + 8; as its second where e ≥ 2 i + 9.

    128 mels up to half the rate, frames of 25 ms every 10 ms, pre-emphasis 0.97: at the 32 kHz that
    the network is meant for a transform of 1024, a window of 800 and a hop of 320 samples.

    Reconstructed from the published description; 5.53 M parameters for 20 classes are those of
    the student in EAsT, which has stage 1's second kernels in stage 2 as well. Without them (e ≥
    2 i + 1, as the rule goes on) there would be 3.96 M.

    Args:
        classes: outputs of the classifier.
        sample_rate: samples a second of the waveform.
        rho: the ρ, at least 1; more of it, a wider receptive field.
        width: the c, channels of stem and first stage.

    Raises:
        MenteeError: where ρ, width or rate are too low.

    Example:
        >>> import torch
        >>> CPResNet(classes=20, sample_rate=32000, width=8)(torch.rand(2, 16000)).shape
        torch.Size([2, 20])

    Paper: arXiv:1907.01803 (receptive field), arXiv:2306.17424 (the student for OpenMIC).
    """

    kind: ClassVar[str] = "audio"
    feature_layers = read_at("stem", "stage", range(1, 4))

    def __init__(
        self, *, classes: int, sample_rate: int = 16000, rho: int = 7, width: int = 128
    ) -> None:
        super().__init__()
        if rho < 1 or width < 1:
            raise MenteeError(f"rho and width are at least 1, not {rho} and {width}")
        first, second, third = kernels_of(rho)
        self.mel = MelInput(sample_rate, window=0.025, hop=0.010, mels=128, emphasis=0.97)
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.stage1 = stage(width, width, first, halved=(0, 1, 3))
        self.stage2 = stage(width, 2 * width, second)
        self.stage3 = stage(2 * width, 4 * width, third)
        self.fc = nn.Linear(4 * width, classes)
        initialize(self)

    def forward(self, x: Float[Tensor, "b samples"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of clips."""
        x = self.stem(self.mel(x))
        x = self.stage3(self.stage2(self.stage1(x)))
        logits: Tensor = self.fc(global_average(x))
        return logits


Kernels: TypeAlias = list[tuple[int, int]]


def kernels_of(rho: int) -> tuple[Kernels, Kernels, Kernels]:
    """The kernels of both convolutions of each block, for the three stages.

    Example:
        >>> kernels_of(7)[1]
        [(3, 1), (1, 3), (1, 3), (1, 3)]
    """
    e = rho - 7
    second = [3 if i > 0 and e >= 2 * i - 7 else 1 for i in range(BLOCKS)]
    stages = (
        ([3 if i == 0 or e >= 2 * i - 8 else 1 for i in range(BLOCKS)], second),
        ([3 if e >= 2 * i else 1 for i in range(BLOCKS)], second),
        (
            [3 if e >= 2 * i + 8 else 1 for i in range(BLOCKS)],
            [3 if e >= 2 * i + 9 else 1 for i in range(BLOCKS)],
        ),
    )
    one, two, three = (list(zip(*pair, strict=True)) for pair in stages)
    return one, two, three


def stage(
    inputs: int, outputs: int, kernels: Kernels, *, halved: Container[int] = ()
) -> nn.Sequential:
    """Blocks of one width; behind those whose numbers are in `halved` stands a max-pooling."""
    layers: list[nn.Module] = []
    for number, pair in enumerate(kernels):
        layers.append(BoundedBlock(outputs if number else inputs, outputs, pair))
        if number in halved:
            layers.append(halve())
    return nn.Sequential(*layers)
