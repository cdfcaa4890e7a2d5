"""Decoded clips cached on disk from one run to the next: a memory-mapped file and its offsets."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from mentee.data.audio_decoding import ClipNotes
from mentee.errors import RunError
from mentee.files import write, write_json

CACHE_VARIABLE = "MENTEE_CACHE"
VERSION = "2"
"""Another one where the same files would be decoded to other numbers."""

_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class DecodedAudio:
    """Clips of several lengths, int16, one behind the other; clip i begins at `offsets[i]`."""

    samples: npt.NDArray[np.int16]
    offsets: npt.NDArray[np.int64]
    notes: ClipNotes

    def __getitem__(self, row: int) -> npt.NDArray[np.int16]:
        return self.samples[self.offsets[row] : self.offsets[row + 1]]


def cache_folder() -> Path:
    """The folder that `MENTEE_CACHE` names, else `~/.cache/mentee`; it may be deleted any time."""
    folder = os.environ.get(CACHE_VARIABLE)
    return Path(folder) if folder else Path.home() / ".cache" / "mentee"


def read_cache(stamp: bytes, name: str) -> DecodedAudio | None:
    """What an earlier run cached, memory-mapped; None where that is nothing, or damaged."""
    samples, offsets, sidecar = _paths(stamp, name)
    try:
        notes = json.loads(sidecar.read_text("utf-8")) if sidecar.exists() else {}
        # A plain view: slicing a np.memmap takes ten times as long.
        cached = DecodedAudio(np.asarray(np.load(samples, mmap_mode="r")), np.load(offsets), notes)
    except (OSError, ValueError, EOFError):
        return None
    return cached if cached.samples.shape == (int(cached.offsets[-1]),) else None


def write_cache(
    stamp: bytes, name: str, clips: Iterator[npt.NDArray[np.int16]], notes: ClipNotes
) -> DecodedAudio | None:
    """Write all clips into the cache, one by one as they are decoded, which fills the notes.

    None, with a warning, where they cannot be written, or would take over half of what is free.
    """
    samples, offsets, sidecar = _paths(stamp, name)
    try:
        lengths: list[int] = []
        write(samples, lambda path: lengths.extend(_write(path, clips)))
        ends = np.cumsum([0, *lengths])
        if notes:
            write_json(sidecar, notes)
        write(offsets, lambda path: _save(path, ends))
    except RunError as error:
        warnings.warn(
            f"the decoded audio is not cached, so each run decodes it again: {error}; "
            f"{CACHE_VARIABLE} may name a folder elsewhere",
            stacklevel=2,
        )
        return None
    return read_cache(stamp, name)


def _paths(stamp: bytes, name: str) -> tuple[Path, Path, Path]:
    key = hashlib.blake2b(f"{VERSION} {name} ".encode() + stamp, digest_size=16).hexdigest()
    folder = cache_folder() / "audio"
    return folder / f"{key}.npy", folder / f"{key}.offsets.npy", folder / f"{key}.notes.json"


def _save(path: Path, array: npt.NDArray[np.int64]) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _write(path: Path, clips: Iterator[npt.NDArray[np.int16]]) -> list[int]:
    room, lengths = int(_SHARE * shutil.disk_usage(path.parent).free), []
    with path.open("wb") as file:
        # NumPy leaves room in a header for the first axis to grow: it is written again at the end.
        _header(file, 0)
        for clip in clips:
            room -= clip.nbytes
            if room < 0:
                raise RunError(f"it would take more than half of the free space of {path.parent}")
            lengths.append(len(clip))
            file.write(clip.astype("<i2", copy=False).data)
        file.seek(0)
        _header(file, sum(lengths))
    return lengths


def _header(file: BinaryIO, n: int) -> None:
    about = {"descr": "<i2", "fortran_order": False, "shape": (n,)}
    np.lib.format.write_array_header_1_0(file, about)
