"""Audio with noise, at another level, in a narrow band, in a room, and as codecs leave it."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data.audio_decoding import import_soundfile, resample
from mentee.data.corruptions.payload import Draws, Floats
from mentee.errors import DataError

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
    power = np.square(noise).mean()
    return _cut(wave + math.sqrt(wanted / power) * noise) if power else wave.copy()


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
    wet = fftconvolve(wave.astype(np.float64), response)[: len(wave)]
    before, after = np.square(wave, dtype=np.float64).mean(), np.square(wet).mean()
    return _cut(wet * math.sqrt(before / after)) if after else wave.copy()


def _cut(wave: Floats) -> Wave:
    limited: Wave = wave.clip(-1, 1).astype(np.float32)
    return limited


TELEPHONE = 8000
BITS = (8, 7, 6, 5, 4)
MP3, MP3_SLOW = (0.5, 0.8, 0.9, 0.95, 0.99), (0.4, 0.5, 0.7, 0.85, 0.99)
"""libsndfile's compression level: 80, 40, 24, 16 and 8 kbit/s at 16 kHz, 184 to 32 at 44.1 kHz; and
below 16 kHz, where MPEG has fewer bit rates: 40, 32, 24, 16 and 8 kbit/s."""
MP3_DELAY = 1105
"""Samples by which an MP3 file is late where it does not say so itself: an encoder's 576, and a
decoder's 529. Files of the lowest bit rates have no room to say it; they come back longer."""
VORBIS = (0.5, 0.65, 0.8, 0.9, 1.0)
"""libsndfile's compression level: 1 − level is the quality."""


def mu_law(wave: Wave, rate: int, draws: Draws, severity: int) -> Wave:
    """Resample to 8 kHz, round to 8 to 4 bits after µ-law compression, and undo both.

    y = sign(x) · ln(1 + µ |x|) / ln(1 + µ) with µ = 255 (ITU-T G.711, continuous form) is rounded
    to 2^bits steps; 8 bits are what a telephone line carries.
    """
    narrow = resample(wave, rate, TELEPHONE).clip(-1, 1).astype(np.float64)
    compressed = np.sign(narrow) * np.log1p(255 * abs(narrow)) / np.log(256)
    half = 2 ** (BITS[severity - 1] - 1)
    rounded = (np.floor(compressed * half).clip(-half, half - 1) + 0.5) / half
    expanded = np.sign(rounded) * np.expm1(abs(rounded) * np.log(256)) / 255
    return fitted(resample(expanded.astype(np.float32), TELEPHONE, rate), len(wave))


def mp3(wave: Wave, rate: int, draws: Draws, severity: int) -> Wave:
    """Write and read an MP3 file of a constant bit rate; the worst has the lowest there is.

    Raises:
        DataError: soundfile is missing, or MP3 has no such rate.
    """
    options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
    levels = MP3_SLOW if rate < 16_000 else MP3
    decoded = _through_file(wave, rate, options, levels[severity - 1])
    return fitted(decoded[MP3_DELAY:] if len(decoded) > len(wave) else decoded, len(wave))


def vorbis(wave: Wave, rate: int, draws: Draws, severity: int) -> Wave:
    """Write and read an Ogg Vorbis file; the worst has the lowest quality there is.

    Raises:
        DataError: soundfile is missing, or Vorbis has no such rate.
    """
    options = {"format": "OGG", "subtype": "VORBIS"}
    return fitted(_through_file(wave, rate, options, VORBIS[severity - 1]), len(wave))


def _through_file(wave: Wave, rate: int, options: dict[str, Any], level: float) -> Wave:
    soundfile, file = import_soundfile(), io.BytesIO()
    try:
        soundfile.write(file, wave, rate, compression_level=level, **options)
        file.seek(0)
        decoded: Wave = soundfile.read(file, dtype="float32")[0]
    except (RuntimeError, ValueError, TypeError) as error:
        # RuntimeError: libsndfile's own; TypeError: soundfile < 0.13 has no compression_level
        raise DataError(
            f"{options['format']} cannot be written at {rate} samples a second ({error}); expected "
            "one of MPEG's rates, such as 16000, 22050 or 44100, and soundfile ≥ 0.13"
        ) from error
    return decoded


def fitted(wave: Wave, length: int) -> Wave:
    """Cut, or filled with zeros, to a length; values cut at full scale."""
    result = np.zeros(length, np.float32)
    result[: len(wave)] = wave[:length].clip(-1, 1)
    return result
