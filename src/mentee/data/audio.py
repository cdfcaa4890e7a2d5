"""Audio clips by row: decoded once, mixed to one channel, resampled, cached on disk."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.data.audio_cache import DecodedAudio, read_cache, write_cache
from mentee.data.payload import (
    MEMORY,
    ChangedPayload,
    Files,
    InMemory,
    Payload,
    ReadOptions,
    Rows,
    ViewOptions,
)
from mentee.errors import DataError
from mentee.types import Batch

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]

FULL = 32768
"""The 16-bit number that a sample of 1 would be."""

_TAPS = 10


def array_clips(values: Any, ids: Sequence[str], options: ReadOptions) -> InMemory:
    """Clips of any lengths: floating point in [-1, 1] or int16, with their `sample_rate`.

    Raises:
        DataError: there is no rate, or a clip is of another type, shape or range.
    """
    own_rate = options.extra.get("sample_rate")
    if not isinstance(own_rate, int) or own_rate < 1:
        raise DataError(
            f"the audio of {options.name} has the sample_rate {own_rate!r}; expected the samples a "
            "second as a whole number, such as 'sample_rate': 16000"
        )
    rate = options.sample_rate
    clips = [
        resample(_to_wave(clip, id), own_rate, rate) for clip, id in zip(values, ids, strict=True)
    ]
    return InMemory("audio", clips, sample_rate=rate)


def _to_wave(clip: Any, id: str) -> Wave:
    samples = clip.detach().cpu().numpy() if isinstance(clip, Tensor) else np.asarray(clip)
    if samples.ndim != 1 or not len(samples):
        raise DataError(f"the clip {id!r} has shape {samples.shape}; expected [samples], mono")
    if samples.dtype == np.int16:
        return (samples / FULL).astype(np.float32)
    if samples.dtype.kind != "f":
        raise DataError(f"the clip {id!r} is {samples.dtype}; expected floating point or int16")
    peak = np.abs(samples).max()
    if not peak <= 1:
        raise DataError(
            f"the clip {id!r} reaches {peak:g}; expected samples in [-1, 1]: "
            "divide all clips by one number"
        )
    return np.ascontiguousarray(samples, np.float32)


class EncodedClips:
    """Clips that are decoded once, and cached from one run to the next.

    A clip is stored as 16-bit numbers, whether on disk or in memory, so a sample is off by at most
    2⁻¹⁶; 16-bit files of the wanted rate are read exactly. Where more than half of the source is
    wanted, all of it is decoded into one memory-mapped file (`mentee.data.audio_cache`), which
    later runs open at once. Smaller parts are decoded into memory, again in each run.

    Args:
        files: the encoded files.
        ids: the rows' ids, for messages.
        options: the samples a second to read them at.
        memory: bytes that decoded clips may take in memory.
    """

    kind = "audio"
    channels = 1

    def __init__(
        self, files: Files, ids: Sequence[str], options: ReadOptions, memory: int = MEMORY
    ) -> None:
        self.files = files
        self.ids = ids
        self.sample_rate: int | None = options.sample_rate
        self._rate = options.sample_rate
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
        """Open what an earlier run cached, else decode; false where there is no room for it."""
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
        cached = read_cache(stamp, name)
        if cached is None and 2 * len(rows) > len(self.ids):
            return write_cache(stamp, name, self._decoded(np.arange(len(self.ids))))
        return cached

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
        wave, own_rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (RuntimeError, ValueError) as error:  # LibsndfileError is a RuntimeError
        raise DataError(_damaged(name, str(error))) from error
    if not len(wave):
        raise DataError(_damaged(name, "it holds no samples"))
    mono = wave.mean(axis=1) if wave.shape[1] > 1 else wave[:, 0]
    if not np.isfinite(mono).all():
        raise DataError(_damaged(name, "it holds samples that are no finite numbers"))
    return (
        np.rint(resample(mono, own_rate, sample_rate) * FULL).clip(-FULL, FULL - 1).astype(np.int16)
    )


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


class FixedLength(ChangedPayload):
    """Clips of one length: the beginning of each, zeros behind a shorter one."""

    def __init__(self, contents: Payload, samples: int) -> None:
        super().__init__(contents)
        self.samples = samples

    def read(self, rows: Rows) -> list[Wave]:
        """The beginnings, `[samples]` each."""
        waves = np.zeros((len(rows), self.samples), np.float32)
        for wave, clip in zip(waves, self.contents.read(rows), strict=True):
            begin = np.asarray(clip)[: self.samples]
            wave[: len(begin)] = begin
        return list(waves)


def measure_clips(batches: Callable[[], Iterable[Batch]], options: ViewOptions) -> dict[str, Any]:
    """The default input contract of networks of audio: no batch is looked at."""
    return {"sample_rate": options.sample_rate, "seconds": options.seconds or 1.0}


def silent_clips(options: ViewOptions, channels: int) -> list[Tensor]:
    """Two silent clips of the length chosen, else of a second."""
    return list(torch.zeros(2, max(1, options.samples or options.sample_rate)))
