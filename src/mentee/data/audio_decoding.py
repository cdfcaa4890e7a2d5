"""Audio files → samples of one channel at one rate, and what had to be changed for that."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from math import gcd
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mentee.data.unreadable import UnreadableError
from mentee.errors import DataError, first_few

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]
ClipNotes: TypeAlias = dict[str, list[str]]
"""What was found of clips or done to them, a key of `CLIP_NOTES`, to their names."""

FULL = 32768
"""The 16-bit number that a sample of 1 would be."""
OTHER_UNITS = 16.0
"""Samples beyond this are no loud recording (24 dB too loud): they have another unit."""
OVERSHOOT = 2.0
"""As far as what MP3 and Vorbis decode may go beyond full scale, of clips that did not."""
CANCELED = 0.01
"""Channels whose mean has less than this share of their mean power cancel one another out."""
QUIET = 2.0**-10
"""Below this peak, few of the 65,536 levels of a sample are left."""
LONGEST = 1 << 30
"""Samples of the longest clip that is read, of one channel: 6 hours at 48 kHz."""
FASTEST = 2_000_000
"""Samples a second of the fastest recording that is read."""

CLIP_NOTES = {
    "scaled": "clips that go beyond full scale, each divided by its peak",
    "one channel": "clips whose channels are in opposite phases and would add up to silence, each "
    "read from its louder channel",
    "silent": "clips that are silent (all samples are equal)",
    "quiet": f"clips below {QUIET:.3f} of full scale, of whose levels 16-bit numbers keep few; "
    "make them louder",
}

_TAPS, _BLOCK = 10, 1 << 20


def decode(data: bytes, sample_rate: int, name: str, notes: ClipNotes | None = None) -> Samples:
    """Decode one audio file of any format that libsndfile reads: WAV, FLAC, OGG, AIFF, MP3.

    Channels are averaged, unless they cancel one another out: then the loudest is read. The rate
    is changed by SciPy's polyphase filter (`resample_poly`, a Kaiser window of β = 5). A file of
    floating-point samples beyond full scale is divided by its peak; what else goes beyond, by
    little, is clipped. `notes` gets what was found or done.

    Returns:
        `[samples]`, int16; full scale is 32768.

    Raises:
        DataError: the file is damaged or no audio, holds no samples, too many or too large ones,
            or soundfile is missing.
    """
    soundfile = import_soundfile()
    remarks: list[str] = []
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            own_rate, floats = file.samplerate, file.subtype in ("FLOAT", "DOUBLE")
            if own_rate > FASTEST or file.frames * sample_rate > LONGEST * own_rate:
                seconds = f"{file.frames:,} samples at {own_rate:,} a second"
                raise ValueError(f"it has {seconds}, more than mentee reads; cut it")
            wave = _one_channel(file, remarks)
    except (RuntimeError, ValueError) as error:  # LibsndfileError is a RuntimeError
        why = getattr(error, "error_string", str(error))  # without the object that was opened
        raise _damaged(name, why.rstrip(".")) from error
    if not len(wave):
        raise _damaged(name, "it holds no samples")
    low, high = float(wave.min()), float(wave.max())
    if not np.isfinite([low, high]).all():
        raise _damaged(name, "it holds samples that are no finite numbers")
    peak = max(-low, high)
    if peak > OTHER_UNITS:
        raise UnreadableError.of(
            f"the audio file {name!r} reaches {peak:g}, and full scale is 1",
            "its samples have another unit",
            "divide all files by one number, such as 32768",
        )
    if peak > (1 if floats else OVERSHOOT):
        wave /= np.float32(peak)
        remarks.append("scaled")
    levels = floats or file.subtype not in ("PCM_16", "PCM_U8", "PCM_S8")
    remarks += quiet(wave, peak if levels else 1.0)
    for each in remarks:
        (notes if notes is not None else {}).setdefault(each, []).append(name)
    samples = resample(wave, own_rate, sample_rate)
    samples *= FULL  # in place: of two hours each copy is half a gigabyte
    return np.rint(samples, out=samples).clip(-FULL, FULL - 1, out=samples).astype(np.int16)


def quiet(wave: Wave, peak: float) -> list[str]:
    """The notes of a clip that is silent, or nearly."""
    if wave.min() == wave.max():
        return ["silent"]
    return ["quiet"] if peak < QUIET else []


def note_line(kind: str, names: Sequence[str]) -> str:
    """A line on what was found or done.

    Example:
        >>> note_line("silent", ["b.wav", "a.wav"])
        "clips that are silent (all samples are equal): 2, 'a.wav', 'b.wav'"
    """
    return f"{CLIP_NOTES[kind]}: {len(names):,}, {first_few([*map(repr, sorted(names))], 3)}"


def _one_channel(file: Any, remarks: list[str]) -> Wave:
    """The mean of all channels, or the loudest where they cancel out; block by block."""

    def blocks() -> Any:
        # A header may promise any number of frames: only what is there is allocated.
        file.seek(0)
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            yield block

    if file.channels == 1:
        return _joined([block[:, 0] for block in blocks()])
    means, power = [], np.zeros(file.channels)
    for block in blocks():
        means.append(block.mean(axis=1))
        power += np.square(block, dtype=np.float64).sum(axis=0)
    mixed = sum(float(np.square(each, dtype=np.float64).sum()) for each in means)
    if mixed >= CANCELED * power.mean() or not np.isfinite(power).all():
        return _joined(means)
    remarks.append("one channel")
    loudest = int(np.argmax(power > 0.99 * power.max()))  # the first of those as loud
    return _joined([block[:, loudest] for block in blocks()])


def _joined(blocks: list[Wave]) -> Wave:
    return blocks[0] if len(blocks) == 1 else np.concatenate([np.zeros(0, np.float32), *blocks])


def _damaged(name: str, why: str) -> UnreadableError:
    what = f"the audio file {name!r} cannot be decoded"
    return UnreadableError.of(what, why, "replace the file")


def import_soundfile() -> Any:
    """The package, which comes with the extra `audio`."""
    try:
        import soundfile
    except ImportError as error:
        raise DataError("audio files need soundfile: pip install 'mentee[audio]'") from error
    return soundfile


def resample(wave: Wave, own_rate: int, sample_rate: int) -> Wave:
    """Samples at one rate → samples at another, low-passed at the lower half rate.

    Returns:
        `[⌈samples · sample_rate / own_rate⌉]`; the same array where the rates are equal.

    Example:
        >>> resample(np.ones(441, np.float32), 44_100, 16_000).shape
        (160,)
    """
    if own_rate == sample_rate:
        return wave
    from scipy.signal import resample_poly

    factor = gcd(own_rate, sample_rate)
    up, down = sample_rate // factor, own_rate // factor
    changed: Wave = resample_poly(wave, up, down, window=_low_pass(max(up, down)))
    return changed


@lru_cache(maxsize=16)
def _low_pass(steps: int) -> Wave:
    # The filter that resample_poly designs in each call, which takes as long as using it.
    from scipy.signal import firwin

    taps: Wave = firwin(2 * _TAPS * steps + 1, 1 / steps, window=("kaiser", 5.0)).astype(np.float32)
    return taps
