"""Audio clips by row: decoded once, mixed to one channel, resampled, and kept on disk."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data.audio_cache import DecodedAudio, keep, kept
from mentee.data.file_bytes import Files
from mentee.data.payload import MEMORY, Kind, Rows
from mentee.errors import DataError

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]

FULL = 32768
"""The 16-bit number that a sample of 1 would be."""

_TAPS = 10


class ArrayClips:
    """Clips that are in memory already.

    Args:
        clips: float32 `[samples]` each, in [-1, 1].
        sample_rate: their samples a second.
    """

    kind: Kind = "audio"
    channels = 1

    def __init__(self, clips: Sequence[Wave], sample_rate: int) -> None:
        self.clips = clips
        self.sample_rate: int | None = sample_rate

    def ready(self, rows: Rows) -> bool:
        """Always."""
        return True

    def load(self, rows: Rows) -> bool:
        """Nothing to do."""
        return True

    def read(self, rows: Rows) -> list[Wave]:
        """The clips, `[samples]` each."""
        return [self.clips[row] for row in rows.tolist()]

    def raw(self, row: int) -> bytes:
        """The row's samples."""
        return self.clips[row].tobytes()


class EncodedClips:
    """Clips that are decoded once, and kept from one run to the next.

    A clip is kept as 16-bit numbers, whether on disk or in memory, so a sample is off by at most
    2⁻¹⁶; 16-bit files of the wanted rate are read exactly. Where more than half of the source is
    wanted, all of it is decoded into one memory-mapped file (`mentee.data.audio_cache`), which
    later runs open at once. Smaller parts are decoded into memory, anew in each run.

    Args:
        files: the encoded files.
        ids: the rows' ids, for messages.
        sample_rate: samples a second to read them at.
        memory: bytes that decoded clips may take in memory.
    """

    kind: Kind = "audio"
    channels = 1

    def __init__(
        self, files: Files, ids: Sequence[str], *, sample_rate: int, memory: int = MEMORY
    ) -> None:
        self.files = files
        self.ids = ids
        self.sample_rate: int | None = sample_rate
        self._rate = sample_rate
        self._memory = memory
        self._fits = True
        self._whole: DecodedAudio | None = None
        self._some: dict[int, Samples] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A memory-mapped file would be sent as a copy of all of it: let the receiver open it.
        return {**self.__dict__, "_whole": None}

    def ready(self, rows: Rows) -> bool:
        """True where the rows are decoded, or each read decodes them."""
        if self._whole is not None or not self._fits:
            return True
        return all(row in self._some for row in rows.tolist())

    def load(self, rows: Rows) -> bool:
        """Open what an earlier run kept, else decode; false where there is no room for it."""
        if not self.ready(rows):
            self._whole = self._on_disk(rows)
            if self._whole is None:
                self._fits = self._remember(rows)
        return self._fits

    def read(self, rows: Rows) -> list[Wave]:
        """The clips, `[samples]` each: from disk or memory, or newly decoded."""
        if self._whole is not None:
            clips: Sequence[Samples] = [self._whole[row] for row in rows.tolist()]
        elif self._fits and self.ready(rows):
            clips = [self._some[row] for row in rows.tolist()]
        else:
            clips = list(self._decoded(rows))
        return [np.float32(1 / FULL) * clip for clip in clips]

    def raw(self, row: int) -> bytes:
        """The row's file."""
        return self.files.fetch(np.array([row]))[0]

    def _on_disk(self, rows: Rows) -> DecodedAudio | None:
        stamp, name = self.files.stamp(), f"rate {self._rate}"
        found = kept(stamp, name)
        if found is None and 2 * len(rows) > len(self.ids):
            return keep(stamp, name, self._decoded(np.arange(len(self.ids))))
        return found

    def _remember(self, rows: Rows) -> bool:
        missing = [row for row in rows.tolist() if row not in self._some]
        size = sum(clip.nbytes for clip in self._some.values())
        for row, clip in zip(missing, self._decoded(np.array(missing, np.int64)), strict=True):
            size += clip.nbytes
            if size > self._memory:
                self._some = {}
                return False
            self._some[row] = clip
        return True

    def _decoded(self, rows: Rows) -> Iterator[Samples]:
        # libsndfile and SciPy's filter let other threads run meanwhile
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for some in np.array_split(rows, max(1, -(-len(rows) // 256))):
                names = [self.ids[row] for row in some.tolist()]
                yield from pool.map(decode, self.files.fetch(some), [self._rate] * len(some), names)


def decode(data: bytes, sample_rate: int, name: str) -> Samples:
    """Decode one audio file of any format that libsndfile reads.

    Channels are averaged; the rate is changed by SciPy's polyphase filter (`resample_poly`, a
    Kaiser window of β = 5); what goes beyond full scale is clipped.

    Args:
        data: the encoded file: WAV, FLAC, OGG, AIFF, or MP3 (libsndfile ≥ 1.1).
        sample_rate: samples a second wanted.
        name: what to call the clip in a message.

    Returns:
        `[samples]`, int16; full scale is 32768.

    Raises:
        DataError: the file is damaged or no audio, holds no samples, or soundfile is missing.
    """
    soundfile = _soundfile()
    try:
        wave, given = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (RuntimeError, ValueError) as error:  # LibsndfileError is a RuntimeError
        raise DataError(_damaged(name, str(error))) from error
    if not len(wave):
        raise DataError(_damaged(name, "it holds no samples"))
    mono = wave.mean(axis=1) if wave.shape[1] > 1 else wave[:, 0]
    if not np.isfinite(mono).all():
        raise DataError(_damaged(name, "it holds samples that are no finite numbers"))
    return np.rint(resample(mono, given, sample_rate) * FULL).clip(-FULL, FULL - 1).astype(np.int16)


def _damaged(name: str, why: str) -> str:
    return (
        f"the audio file {name!r} cannot be decoded ({why}); "
        "replace the file, or leave it out of the source"
    )


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError as error:
        raise DataError("audio files need soundfile: pip install 'mentee[audio]'") from error
    return soundfile


def resample(wave: Wave, given: int, sample_rate: int) -> Wave:
    """Samples at one rate → samples at another, low-passed at the lower half rate.

    Args:
        wave: `[samples]`.
        given: its samples a second.
        sample_rate: samples a second wanted.

    Returns:
        `[⌈samples · sample_rate / given⌉]`; the same array where the rates are equal.

    Example:
        >>> resample(np.ones(441, np.float32), 44_100, 16_000).shape
        (160,)
    """
    if given == sample_rate:
        return wave
    from scipy.signal import resample_poly

    up, down = sample_rate // gcd(given, sample_rate), given // gcd(given, sample_rate)
    changed: Wave = resample_poly(wave, up, down, window=_low_pass(max(up, down)))
    return changed


@lru_cache(maxsize=16)
def _low_pass(steps: int) -> Wave:
    # The filter that resample_poly designs anew in each call, which takes as long as using it.
    from scipy.signal import firwin

    taps: Wave = firwin(2 * _TAPS * steps + 1, 1 / steps, window=("kaiser", 5.0)).astype(np.float32)
    return taps
