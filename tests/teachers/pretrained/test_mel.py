"""Mel filters and spectrograms against their formulas, and against librosa where it is."""

import math

import numpy as np
import pytest
import torch

from mentee.teachers.pretrained.mel import mel_filters, mel_spectrogram

BANDS, WINDOW, RATE = 12, 64, 8000


def to_mel(hz, scale):
    if scale == "htk":
        return 2595 * math.log10(1 + hz / 700)
    return hz / (200 / 3) if hz < 1000 else 15 + math.log(hz / 1000) / (math.log(6.4) / 27)


def edge(mel, scale):
    """The frequency of a mel, by halving."""
    low, high = 0.0, float(RATE)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if to_mel(middle, scale) < mel else (low, middle)
    return low


def triangles(scale, norm):
    top = to_mel(RATE / 2, scale)
    edges = [edge(top * i / (BANDS + 1), scale) for i in range(BANDS + 2)]
    found = np.zeros((BANDS, WINDOW // 2 + 1))
    for band in range(BANDS):
        low, center, high = edges[band : band + 3]
        for k in range(WINDOW // 2 + 1):
            hz = k * RATE / WINDOW
            if low < hz <= center:
                found[band, k] = (hz - low) / (center - low)
            elif center < hz < high:
                found[band, k] = (high - hz) / (high - center)
        if norm == "slaney":
            found[band] *= 2 / (high - low)
        elif found[band].sum() > 0:
            found[band] /= found[band].sum()
    return found


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("norm", ["sum", "slaney"])
def test_filters_are_the_triangles(scale, norm):
    made = mel_filters(RATE, WINDOW, BANDS, scale=scale, norm=norm)
    np.testing.assert_allclose(made, triangles(scale, norm), atol=1e-6)


@pytest.mark.parametrize("samples", [1, 40, 200])
def test_frames_are_the_power_of_hann_windows_with_zeros_around(samples):
    filters = mel_filters(RATE, WINDOW, BANDS, scale="htk", norm="sum")
    clip = torch.randn(samples)
    padded = np.pad(clip.double().numpy(), WINDOW // 2)
    n = np.arange(WINDOW)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / WINDOW)
    expected = []
    for start in range(0, samples + 1, 16):
        frame = padded[start : start + WINDOW] * hann
        waves = [np.exp(-2j * np.pi * k * n / WINDOW) for k in range(WINDOW // 2 + 1)]
        power = [abs((frame * wave).sum()) ** 2 for wave in waves]
        expected.append(filters.double().numpy() @ power)
    made = mel_spectrogram(clip, filters, hop=16)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_librosa_says_the_same():
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    for scale, norm, named in (("htk", "sum", 1.0), ("slaney", "slaney", "slaney")):
        theirs = librosa.filters.mel(sr=16000, n_fft=512, n_mels=96, htk=scale == "htk", norm=named)
        ours = mel_filters(16000, 512, 96, scale=scale, norm=norm)
        np.testing.assert_allclose(ours, theirs, atol=1e-7)
