"""Audio as codecs leave it: telephone, MP3, Vorbis."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from mentee.data.audio import resample
from mentee.data.corruptions.draws import Draws
from mentee.data.corruptions.sound import Wave
from mentee.errors import DataError

TELEPHONE = 8000
BITS = (8, 7, 6, 5, 4)
MP3 = (0.5, 0.8, 0.9, 0.95, 0.99)
"""libsndfile's compression level: 80, 40, 24, 16 and 8 kbit/s at 16 kHz, 184 to 32 at 44.1 kHz."""
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
    heard = np.sign(rounded) * np.expm1(abs(rounded) * np.log(256)) / 255
    return fitted(resample(heard.astype(np.float32), TELEPHONE, rate), len(wave))


def mp3(wave: Wave, rate: int, draws: Draws, severity: int) -> Wave:
    """Write and read an MP3 file of a constant bit rate; the worst has the lowest there is.

    Raises:
        DataError: soundfile is missing, or MP3 has no such rate.
    """
    options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
    heard = _through_file(wave, rate, options, MP3[severity - 1])
    return fitted(heard[MP3_DELAY:] if len(heard) > len(wave) else heard, len(wave))


def vorbis(wave: Wave, rate: int, draws: Draws, severity: int) -> Wave:
    """Write and read an Ogg Vorbis file; the worst has the lowest quality there is.

    Raises:
        DataError: soundfile is missing, or Vorbis has no such rate.
    """
    options = {"format": "OGG", "subtype": "VORBIS"}
    return fitted(_through_file(wave, rate, options, VORBIS[severity - 1]), len(wave))


def _through_file(wave: Wave, rate: int, options: dict[str, Any], level: float) -> Wave:
    try:
        import soundfile
    except ImportError as error:
        raise DataError("audio codecs need soundfile: pip install 'mentee[audio]'") from error
    file = io.BytesIO()
    try:
        soundfile.write(file, wave, rate, compression_level=level, **options)
        file.seek(0)
        heard: Wave = soundfile.read(file, dtype="float32")[0]
    except (RuntimeError, ValueError, TypeError) as error:
        # RuntimeError: libsndfile's own; TypeError: soundfile < 0.13 has no compression_level
        raise DataError(
            f"{options['format']} cannot be written at {rate} samples a second ({error}); expected "
            "one of MPEG's rates, such as 16000, 22050 or 44100, and soundfile ≥ 0.13"
        ) from error
    return heard


def fitted(wave: Wave, length: int) -> Wave:
    """Cut, or filled with zeros, to a length; values cut at full scale."""
    found = np.zeros(length, np.float32)
    found[: len(wave)] = wave[:length].clip(-1, 1)
    return found
