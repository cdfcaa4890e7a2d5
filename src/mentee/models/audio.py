"""Networks for audio: they read the waveform, and hold the log-mel spectrogram themselves.

Maps are `[b, c, mels, frames]`, coarser from stage to stage. Each network has a batch norm over the
mel bins behind the spectrogram, so that no mean and standard deviation have to be written by hand,
and reads clips of any length: pooling rounds up, the last map is averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.models.layers import check_widths, conv1x1, conv3x3, global_average, initialize, read_at
from mentee.models.logmel import LogMel

HIGHEST = 1_000_000
"""Samples a second."""


class MelInput(nn.Module):
    """The log-mel spectrogram of a waveform, each mel bin brought to zero mean, unit variance.

    A frame is `window` seconds long, the next begins `hop` seconds later, and the Fourier transform
    has the next power of two; `mels` filters lie from 0 Hz to half the rate.
    """

    def __init__(
        self, sample_rate: int, *, window: float, hop: float, mels: int, emphasis: float = 0.0
    ) -> None:
        super().__init__()
        if not 1000 <= sample_rate <= HIGHEST:
            raise MenteeError(
                f"the rate is in samples a second, at least 1000, not {sample_rate}"
                f"{' (at most 1,000,000)' if sample_rate > HIGHEST else ''}"
            )
        samples = 2 * round(sample_rate * window / 2)
        self.logmel = LogMel(
            sample_rate=sample_rate,
            n_fft=1 << (samples - 1).bit_length(),
            hop=round(sample_rate * hop),
            window=samples,
            mels=mels,
            emphasis=emphasis,
        )
        self.norm = nn.BatchNorm1d(mels)

    def forward(self, x: Float[Tensor, "b samples"]) -> Float[Tensor, "b 1 mels frames"]:
        """The normalized spectrogram."""
        normed: Tensor = self.norm(self.logmel(x).squeeze(1))
        return normed.unsqueeze(1)


def conv_norm(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A 3×3 convolution, batch norm and ReLU."""
    return nn.Sequential(
        conv3x3(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def separable(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A 3×3 filter of each channel, then a 1×1 convolution; each with batch norm and ReLU."""
    return nn.Sequential(
        conv3x3(inputs, inputs, stride=stride, groups=inputs),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        conv1x1(inputs, outputs),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SmallFCN(nn.Module):
    """A fully convolutional network under 100,000 parameters that a laptop trains in minutes.

    64 mels, frames of 32 ms every 16 ms; every stage begins with a stride of 2: a second at 16 kHz
    has 64×63 points, then 32×32, 16×16, 8×8 and 4×4. The early layers are plain convolutions, which
    a CPU computes faster than separable ones of few channels; the later ones are separable.

    Args:
        classes: outputs of the classifier.
        sample_rate: samples a second of the waveform.
        widths: channels of the stem and of the three stages.

    Raises:
        MenteeError: where the rate is too low to be one, or a width is no width.

    Example:
        >>> import torch
        >>> SmallFCN(classes=12)(torch.rand(2, 16000)).shape
        torch.Size([2, 12])
    """

    kind: ClassVar[str] = "audio"
    feature_layers = read_at("stem", "stage", range(1, 4))

    def __init__(
        self,
        *,
        classes: int,
        sample_rate: int = 16000,
        widths: Sequence[int] = (16, 48, 96, 160),
    ) -> None:
        super().__init__()
        stem, first, second, third = check_widths("SmallFCN", widths, 4)
        self.mel = MelInput(sample_rate, window=0.032, hop=0.016, mels=64)
        self.stem = conv_norm(1, stem, stride=2)
        self.stage1 = conv_norm(stem, first, stride=2)
        self.stage2 = nn.Sequential(separable(first, second, stride=2), separable(second, second))
        self.stage3 = nn.Sequential(separable(second, third, stride=2), separable(third, third))
        self.fc = nn.Linear(third, classes)
        initialize(self)

    def forward(self, x: Float[Tensor, "b samples"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of clips."""
        x = self.stem(self.mel(x))
        x = self.stage3(self.stage2(self.stage1(x)))
        logits: Tensor = self.fc(global_average(x))
        return logits


class MobileFCN(nn.Module):
    """Two convolutions and six separable ones, with max-pooling between: 0.314 M for 50 tags.

    Layers have 64 and 128 channels, then 128, 128, 128, 256, 256 and 256; a dropout stands before
    the classifier, behind the layer `embedding`. 96 mels, frames of 32 ms every 16 ms (512 and 256
    samples at 16 kHz).

    Reconstructed from the published list of layers and the number of parameters; which layers are
    pooled is not published: here the stem, the second convolution and the third separable one.

    Args:
        classes: outputs of the classifier.
        sample_rate: samples a second of the waveform.
        dropout: share of the embedding that is dropped in training, in [0, 1).

    Raises:
        MenteeError: where the rate is too low to be one, or `dropout` is no share.

    Example:
        >>> import torch
        >>> MobileFCN(classes=50)(torch.rand(2, 16000)).shape
        torch.Size([2, 50])

    Paper: the student for MagnaTagATune in arXiv:2306.17424.
    """

    kind: ClassVar[str] = "audio"
    feature_layers = read_at("stem", "stage", range(1, 4), "head")

    def __init__(self, *, classes: int, sample_rate: int = 16000, dropout: float = 0.5) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise MenteeError(f"MobileFCN drops a share from 0 to below 1, not {dropout}")
        self.mel = MelInput(sample_rate, window=0.032, hop=0.016, mels=96)
        self.stem = nn.Sequential(conv_norm(1, 64), halve())
        self.stage1 = nn.Sequential(conv_norm(64, 128), halve())
        self.stage2 = nn.Sequential(*(separable(128, 128) for _ in range(3)), halve())
        self.stage3 = nn.Sequential(*(separable(c, 256) for c in (128, 256, 256)))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(256, classes))
        initialize(self)

    def forward(self, x: Float[Tensor, "b samples"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of clips."""
        x = self.stem(self.mel(x))
        x = self.stage3(self.stage2(self.stage1(x)))
        logits: Tensor = self.head(global_average(x))
        return logits


def halve() -> nn.MaxPool2d:
    """Max-pooling by two in both directions; the last row and column count, however many."""
    return nn.MaxPool2d(2, ceil_mode=True)
