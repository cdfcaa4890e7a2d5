"""Audio clips by row: decoded once, mixed to one channel, resampled, cached on disk."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.data.audio_cache import DecodedAudio, read_cache, write_cache
from mentee.data.audio_decoding import (
    FULL,
    ClipNotes,
    Samples,
    Wave,
    decode,
    note_line,
    quiet,
    resample,
)
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
from mentee.threads import map_in_threads
from mentee.types import Batch


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
    notes: ClipNotes = {}
    clips = [
        resample(_to_wave(clip, id, notes), own_rate, rate)
        for clip, id in zip(values, ids, strict=True)
    ]
    _warn(notes)
    return InMemory("audio", clips, sample_rate=rate)


def _to_wave(clip: Any, id: str, notes: ClipNotes) -> Wave:
    samples = clip.detach().cpu().numpy() if isinstance(clip, Tensor) else np.asarray(clip)
    if samples.ndim != 1 or not len(samples):
        raise DataError(f"the clip {id!r} has shape {samples.shape}; expected [samples], mono")
    if samples.dtype == np.int16:
        samples = samples / FULL
    if samples.dtype.kind != "f":
        raise DataError(f"the clip {id!r} is {samples.dtype}; expected floating point or int16")
    if not np.isfinite(samples).all():
        raise DataError(f"the clip {id!r} holds samples that are no finite numbers; mend it")
    peak = np.abs(samples).max()
    if peak > 1:
        raise DataError(
            f"the clip {id!r} reaches {peak:g}; expected samples in [-1, 1]: "
            "divide all clips by one number"
        )
    wave = np.ascontiguousarray(samples, np.float32)
    for each in quiet(wave, peak=1.0):  # float32 keeps the levels of what is quiet
        notes.setdefault(each, []).append(id)
    return wave


def _warn(notes: ClipNotes) -> None:
    """Say what was found of clips or done to them."""
    for kind in sorted(notes):
        warnings.warn(note_line(kind, notes[kind]), stacklevel=4)


class EncodedClips:
    """Clips that are decoded once, and cached from one run to the next.

    A clip is stored as 16-bit numbers, whether on disk or in memory, so a sample is off by at most
    2⁻¹⁶; 16-bit files of the wanted rate are read exactly. Where more than half of the source is
    wanted, all of it is decoded into one memory-mapped file (`mentee.data.audio_cache`), which
    later runs open at once. Smaller parts are decoded into memory, again in each run.
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
        self.notes: ClipNotes = {}

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
            else:
                self.notes = self._whole.notes
            _warn(self.notes)
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
            clips = self._decoded(np.arange(len(self.ids)))
            return write_cache(stamp, name, clips, self.notes)
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
                data, rates = self.files.fetch(some), [self._rate] * len(some)
                notes = [self.notes] * len(some)
                yield from map_in_threads(pool, decode, data, rates, names, notes)


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
