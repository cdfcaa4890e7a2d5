"""Audio with noise, at another level, through a narrow channel, in a room."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mentee.data.corruptions.draws import Draws, Floats

Wave = npt.NDArray[np.float32]
"""`[samples]` in [-1, 1]."""

SNR = (20, 15, 10, 5, 0)
"""dB between the clip's mean power and the noise's."""
GAIN = (3, 6, 9, 12, 18)
"""dB."""
BAND = ((100, 6000), (150, 4500), (200, 4000), (300, 3400), (500, 2500))
"""Lowest and highest frequency in Hz; the fourth is that of a telephone."""
ROOM = ((0.2, 10), (0.4, 6), (0.7, 3), (1.1, 0), (1.6, -3))
"""Seconds until the sound has died away by 60 dB, and dB between direct sound and echoes."""


def white_noise(wave: Wave, sample_rate: int, draws: Draws, severity: int) -> Wave:
    """Add white noise, 20 to 0 dB below the clip's own mean power; silence stays silent."""
    return _with_noise(wave, draws.normal(len(wave))[0], severity)


def pink_noise(wave: Wave, sample_rate: int, draws: Draws, severity: int) -> Wave:
    """Add noise whose power falls as 1/f, 20 to 0 dB below the clip's own mean power."""
    spectrum = np.fft.rfft(draws.normal(len(wave))[0])
    frequency = np.arange(len(spectrum))
    frequency[0] = 1
    spectrum[0] = 0
    return _with_noise(wave, np.fft.irfft(spectrum / np.sqrt(frequency), len(wave)), severity)


def _with_noise(wave: Wave, noise: Floats, severity: int) -> Wave:
    # power of the noise = power of the clip · 10^(−SNR / 10)
    wanted = np.square(wave, dtype=np.float64).mean() * 10 ** (-SNR[severity - 1] / 10)
    found = np.square(noise).mean()
    return _cut(wave + math.sqrt(wanted / found) * noise) if found else wave.copy()


def gain(wave: Wave, sample_rate: int, draws: Draws, severity: int) -> Wave:
    """Make the clip louder or quieter, each as likely, by 3 to 18 dB; what is too loud is cut."""
    sign = 1 if draws.uniform()[0] < 0.5 else -1
    return _cut(wave * 10 ** (sign * GAIN[severity - 1] / 20))


def band_limit(wave: Wave, sample_rate: int, draws: Draws, severity: int) -> Wave:
    """Keep only the frequencies of a band, by a Butterworth filter of order 4, both ways.

    Where the band ends above 0.45 · rate, only the low frequencies are taken away.
    """
    from scipy.signal import butter, sosfiltfilt

    low, high = BAND[severity - 1]
    whole = high >= 0.45 * sample_rate
    edges = low if whole else (low, high)
    sections = butter(4, edges, "highpass" if whole else "bandpass", fs=sample_rate, output="sos")
    return _cut(sosfiltfilt(sections, wave, padlen=min(3 * 9, len(wave) - 1)))


def reverberation(wave: Wave, sample_rate: int, draws: Draws, severity: int) -> Wave:
    """Put the clip into a synthetic room: noise that dies away follows the direct sound.

    h(t) = δ(t) + e · noise(t) · 10^(−3 t / T), with the echo's energy e² Σ (…)² set by the ratio
    of direct sound to echoes. The result has the clip's length and mean power.
    """
    from scipy.signal import fftconvolve

    seconds, ratio = ROOM[severity - 1]
    time = np.arange(max(2, round(seconds * sample_rate))) / sample_rate
    response = draws.normal(len(time))[0] * 10 ** (-3 * time / seconds)
    response[0] = 0
    response *= math.sqrt(10 ** (-ratio / 10) / np.square(response).sum())
    response[0] = 1
    heard = fftconvolve(wave.astype(np.float64), response)[: len(wave)]
    before, after = np.square(wave, dtype=np.float64).mean(), np.square(heard).mean()
    return _cut(heard * math.sqrt(before / after)) if after else wave.copy()


def _cut(wave: Floats) -> Wave:
    limited: Wave = wave.clip(-1, 1).astype(np.float32)
    return limited
