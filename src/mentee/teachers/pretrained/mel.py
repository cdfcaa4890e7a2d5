"""Mel spectrograms as the teachers' own code (librosa) computes them, in torch."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def mel_filters(
    sample_rate: int,
    window: int,
    bands: int,
    *,
    scale: Literal["htk", "slaney"],
    norm: Literal["sum", "slaney"],
) -> Float[Tensor, "bands bins"]:
    r"""Triangles that rise and fall linearly in Hz between centers equally far apart in mel.

    htk: m = 2595 · log10(1 + f/700). slaney: linear below 1 kHz (200/3 Hz a mel), logarithmic
    above (27 mel for a factor of 6.4). They span 0 to rate / 2; with the norm `sum` the weights of
    a band add up to 1, with `slaney` its area in Hz is 1. `bins = window // 2 + 1`.

    Example:
        >>> mel_filters(16000, 512, 96, scale="htk", norm="sum").shape
        torch.Size([96, 257])
    """
    to_mel, to_hz = (_to_mel_htk, _to_hz_htk) if scale == "htk" else (_to_mel, _to_hz)
    edges = to_hz(np.linspace(to_mel(0.0), to_mel(sample_rate / 2), bands + 2))
    bins = np.linspace(0, sample_rate / 2, window // 2 + 1)
    low, center, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.maximum(
        0, np.minimum((bins - low) / (center - low), (high - bins) / (high - center))
    )
    if norm == "sum":
        total = weights.sum(1, keepdims=True)
        weights /= np.where(total > 0, total, 1)
    else:
        weights *= 2 / (high - low)
    return torch.from_numpy(weights.astype(np.float32))


def mel_spectrogram(
    clip: Float[Tensor, " samples"], filters: Float[Tensor, "bands bins"], *, hop: int
) -> Float[Tensor, "t bands"]:
    """Power in each band, one of `t = 1 + samples // hop` frames every `hop` samples.

    The first is centered on the first sample; zeros are thought around the clip. The width of the
    filters gives the window, a periodic Hann.
    """
    window = 2 * (filters.shape[1] - 1)
    spectrum = torch.stft(
        clip,
        window,
        hop,
        window=torch.hann_window(window),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    # |X|² summed over the bins of each band
    return (filters @ torch.view_as_real(spectrum).square().sum(-1)).T


def _to_mel_htk(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _to_hz_htk(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


def _to_mel(hz: float) -> float:
    if hz < 1000:
        return hz * 3 / 200
    return 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _to_hz(mel: np.ndarray) -> np.ndarray:
    above = 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27)
    return np.where(mel < 15, mel * 200 / 3, above)
