"""PESTO: a pitch estimator that learned without labels, from transposed copies of its input.

Riou, Lattner, Hadjeres, Peeters, "PESTO: Pitch Estimation with Self-supervised
Transposition-equivariant Objective", ISMIR 2023, arXiv:2309.02265. The weights are the package's
`mir-1k_g7`; network and variable-Q transform are expressed here, so neither omegaconf nor
torchaudio is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mentee.errors import MenteeError, suggest
from mentee.models.packages import carried_file, fill, origin, read_checkpoint
from mentee.teachers.pretrained.embedder import ReadyEmbedder

RATE = 16000  # that of its training data, MIR-1K; the transform exists for any rate
BINS, IN_OCTAVE, LOWEST, GAMMA = 251, 36, 27.5, 7
CROP = slice(16, -16)  # room for transposition in training
PITCHES = 384  # a third of a semitone each, the first is MIDI pitch 0
FRAMES = 512  # at once: 512 · 40 · 219 floats, 18 MB
SETTINGS = (  # classes of its settings, which are not needed
    "omegaconf.nodes.AnyNode",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.dictconfig.DictConfig",
    "typing.Any",
)
LAYERS = {"activations": PITCHES, "features": 3 * 40}
POOLINGS = ("mean", "mean+std")


class PestoNetwork(nn.Module):
    """One spectrum → how likely each pitch is; the names are the checkpoint's."""

    def __init__(self) -> None:
        super().__init__()
        bins, widths = BINS - 32, (40, 30, 30, 10, 3)
        self.layernorm = nn.LayerNorm([1, bins])
        self.conv1 = nn.Sequential(nn.Conv1d(1, widths[0], 39, padding=19))
        self.prefilt_layers = nn.ModuleList(
            nn.Sequential(nn.Conv1d(widths[0], widths[0], 39, padding=19)) for _ in range(2)
        )
        layers: list[nn.Module] = []
        for inner, outer in pairwise(widths):
            layers += [nn.Conv1d(inner, outer, 1), nn.LeakyReLU(0.3), nn.Identity()]
        self.conv_layers = nn.Sequential(*layers)
        # A Toeplitz matrix: the same weight wherever output and input pitch differ by as much.
        self.fc = nn.Conv1d(1, 1, bins * widths[-1] + PITCHES - 1, padding=PITCHES - 1, bias=False)

    def features(self, x: Float[Tensor, "b bins"]) -> Float[Tensor, "b 40 bins"]:
        """What the first 40 filters find at each frequency."""
        return F.leaky_relu(self.conv1(self.layernorm(x[:, None])), 0.3)

    def forward(self, x: Float[Tensor, "b bins"]) -> Float[Tensor, "b pitches"]:
        """The activations of a batch of spectra; each row adds up to 1."""
        x = self.features(x)
        for layer in self.prefilt_layers:
            x = x + F.leaky_relu(layer(x), 0.3)
        pitches: Tensor = self.fc(self.conv_layers(x).flatten(1)[:, None])[:, 0]
        return pitches.softmax(1)


def build_pesto(
    *, hop: float = 0.02, layer: str = "activations", pooling: str = "mean"
) -> ReadyEmbedder:
    """The teacher `pesto`: 384 activations a frame, one for each third of a semitone.

    They encode the pitch and, as they were trained to, nothing of the instrument. Where that
    is asked, take `features`: mean, standard deviation and maximum over frequency of what each of
    the first layer's 40 filters finds, 120 numbers a frame that a transposition hardly changes.

    Its input is the log power of a variable-Q transform, 36 bins an octave from 27 Hz. Around the
    clip its own reflection is thought, repeated where the clip is shorter than 128 ms.

    Args:
        hop: seconds from frame to frame, at least 1/16000; the package's is 0.01.
        layer: `activations` (384 numbers a frame) or `features` (120, five times as fast).
        pooling: `mean` over frames, or `mean+std`, twice as wide.

    Raises:
        MenteeError: the package is missing, or an option is out of range.
    """
    step = round(hop * RATE)
    if step < 1:
        raise MenteeError(f"pesto: hop is a number of seconds, at least 1/{RATE}, not {hop}")
    for option, value, known in (("layer", layer, tuple(LAYERS)), ("pooling", pooling, POOLINGS)):
        if value not in known:
            raise MenteeError(f"pesto: {option} has no {value!r}; {suggest(value, known)}")
    path = carried_file("pesto", "weights/mir-1k_g7.ckpt", teacher="pesto")
    state = read_checkpoint(path, SETTINGS)["state_dict"]
    inner = "encoder."
    weights = {k.removeprefix(inner): v for k, v in state.items() if k.startswith(inner)}
    network = PestoNetwork()
    fill(network, weights, path=path)
    # What the training left open: by how much its pitches are too high, in semitones.
    shift = -round(float(state["shift"]) * IN_OCTAVE / 12)
    kernels, reach = vqt_kernels(RATE)

    def activations(spectra: Tensor) -> Tensor:
        activations: Tensor = network(spectra)
        return activations.roll(shift, 1)

    def features(spectra: Tensor) -> Tensor:
        features = network.features(spectra)
        return torch.cat([features.mean(2), features.std(2, correction=0), features.amax(2)], 1)

    read = activations if layer == "activations" else features

    def frames_of(clips: Sequence[Tensor]) -> list[Tensor]:
        spectra = [log_spectra(clip.float(), kernels, reach, step) for clip in clips]
        stacked = torch.cat(spectra)[:, CROP]
        frames = torch.cat([read(part) for part in torch.split(stacked, FRAMES)])
        return list(torch.split(frames, [len(each) for each in spectra]))

    def vectors(clips: Sequence[Tensor]) -> Tensor:
        return torch.stack([pool(frames) for frames in frames_of(clips)])

    def pool(frames: Tensor) -> Tensor:
        if pooling == "mean":
            return frames.mean(0)
        return torch.cat([frames.mean(0), frames.std(0, correction=0)])

    def sequences(clips: Sequence[Tensor]) -> Tensor:
        return torch.stack(frames_of(clips))

    return ReadyEmbedder(
        name="pesto",
        kind="audio",
        sample_rate=RATE,
        width=LAYERS[layer] * (1 if pooling == "mean" else 2),
        vectors=vectors,
        sequences=sequences if pooling == "mean" else None,
        weights={**weights, "shift": state["shift"]},
        contract={
            "learned_from": "pitch of singing, self-supervised",
            "source": origin("pesto-pitch"),
            "license": "LGPL-3.0",
            "sample_rate": RATE,
            "window": kernels.shape[1],
            "hop": step,
            "bins": BINS,
            "bins_an_octave": IN_OCTAVE,
            "lowest_hz": LOWEST,
            "edges": "reflected",
            "layer": layer,
            "pooling": f"{pooling} over frames",
        },
    )


def vqt_kernels(sample_rate: int) -> tuple[Float[Tensor, "two_bins width"], int]:
    r"""Kernels of the variable-Q transform: real parts, then imaginary parts.

    Bin k has the frequency f_k = f_0 · 2^{k/36} and the length
    l_k = ⌈Q · rate / (f_k + γ/α)⌉ with α = 2^{1/36} − 1 and Q = 1/α: a Hann window times
    exp(2πi f_k n / rate), its absolute values adding up to 1, times √l_k. With how far they reach
    before a frame's center, in samples.
    """
    from scipy.signal import get_window  # half a second, which other commands need not wait

    alpha = 2 ** (1 / IN_OCTAVE) - 1
    # Three bins a semitone, the middle one on the pitch: the lowest lies a third of one below.
    lowest = LOWEST / 2 ** (2 / 72)
    frequencies = lowest * 2 ** (np.arange(BINS) / IN_OCTAVE)
    lengths = np.ceil(sample_rate / alpha / (frequencies + GAMMA / alpha)).astype(int)
    width = int(lengths.max()) + 2
    center = width // 2
    kernels = np.zeros((BINS, width), np.complex128)
    for kernel, frequency, length in zip(kernels, frequencies, lengths, strict=True):
        n = np.arange(length) - (length + 1) // 2
        wave = get_window("hann", int(length)) * np.exp(2j * np.pi * frequency / sample_rate * n)
        start = center - (length + 1) // 2
        kernel[start : start + length] = wave / np.abs(wave).sum() * math.sqrt(length)
    both = np.concatenate([kernels.real, -kernels.imag]).astype(np.float32)
    return torch.from_numpy(both), center


def log_spectra(
    clip: Float[Tensor, " samples"],
    kernels: Float[Tensor, "two_bins width"],
    reach: int,
    step: int,
) -> Float[Tensor, "t bins"]:
    """The log power ln |X|² of frames centered on samples 0, step, 2·step, ..., |X| ≥ 1.2e-7."""
    width, count = kernels.shape[1], 1 + len(clip) // step
    frames = _reflected(clip, reach, (count - 1) * step + width).unfold(0, width, step)
    real, imaginary = (frames @ kernels.T).chunk(2, 1)
    magnitude = torch.hypot(real, imaginary).clamp_min(torch.finfo(torch.float32).eps)
    return 2 * magnitude.log()


def _reflected(clip: Tensor, before: int, total: int) -> Tensor:
    """The clip between mirrors on its first and last sample: ... c b a b c b a ..."""
    last = len(clip) - 1
    if last == 0:
        return clip.expand(total)
    at = (torch.arange(total) - before).remainder(2 * last)
    return clip[torch.where(at > last, 2 * last - at, at)]
