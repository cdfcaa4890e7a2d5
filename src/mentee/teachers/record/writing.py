"""Vectors → a folder that is either a whole record or not there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from mentee import files
from mentee.data.contents import Kind
from mentee.errors import DataError, RunError
from mentee.files import said_plainly
from mentee.teachers.record import statistics
from mentee.teachers.record.folder import new_folder
from mentee.teachers.record.manifest import (
    IDS,
    MANIFEST,
    STATISTICS,
    Dtype,
    Manifest,
    Shard,
    checksum,
)
from mentee.teachers.record.numbers import STORED, decode, encode
from mentee.teachers.record.signed import write_signed

SHARD_BYTES, SHARD_ROWS = 256 << 20, 16_384
"""Size of a shard where the user names no number of rows: what a killed process loses at most."""

PROGRESS = "progress.json"
_CHUNK = 4096  # vectors summed up at once

Said = Callable[[int], Iterator[npt.NDArray[np.floating]]]
"""From a row on, the rows of the examples in their order, `[b, d]` or `[b, t, d]` at a time."""


@dataclass(frozen=True)
class About:
    """What a record says of itself beyond its rows.

    Attributes:
        name: what to call it.
        kind: image, audio or text.
        teacher: where the vectors come from.
        data: which examples they belong to.
        view: how the examples were presented.
    """

    name: str
    kind: Kind
    teacher: dict[str, Any]
    data: dict[str, Any]
    view: str = "clean"


def write_record(
    out: Path,
    said: Said,
    ids: Sequence[str],
    about: About,
    *,
    dtype: Dtype,
    scales: Sequence[float] | None = None,
    shard_rows: int | None = None,
    overwrite: bool = False,
    fit: bool = True,
) -> None:
    """Write the rows of all examples, one batch after the other.

    Until the last byte is on the disk there is no record, and the one there was stays. A process
    that was killed or interrupted is gone on with after its last whole shard.

    Args:
        out: the folder to write.
        said: gives the rows.
        ids: `n` names.
        about: the rest of the manifest.
        dtype: of the stored numbers.
        scales: of int8, one for each entry of a vector.
        shard_rows: rows of a file; None: 16,384, more of a huge record, at most 256 MiB.
        overwrite: put it in the place of a record that is there.
        fit: fit statistics and keep them, and the time of writing.

    Raises:
        DataError: `out` is there; a number is not finite, or too large for `dtype`.
        RunError: the disk is full, or writing is not allowed.

    Memory: O(b t d + d²).
    """
    if shard_rows is not None and shard_rows < 1:
        raise DataError(f"shard_rows is {shard_rows}, expected at least 1")
    content = json.dumps(list(ids)) + "\n"
    digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    plan = asdict(about) | {"ids": digest, "dtype": dtype, "scales": scales and list(scales)}
    with new_folder(out, plan | {"shard_rows": shard_rows}, overwrite=overwrite) as begun:
        folder = begun.path
        shards = _Shards(folder, ids, dtype, scales, shard_rows)
        try:
            for batch in said(shards.written):
                shards.add(batch)
        finally:
            shards.close()
        shards.check_whole()
        frames, width = shards.shape[:-1], shards.shape[-1]
        manifest = Manifest(
            name=about.name,
            kind=about.kind,
            width=width,
            frames=frames[0] if frames else None,
            rows=len(ids),
            dtype=dtype,
            scales=None if scales is None else tuple(scales),
            view=about.view,
            teacher=about.teacher,
            data=about.data,
            ids=digest,
            shards=tuple(shards.done),
            statistics=_fit(folder, shards) if fit else {},
            created=begun.created if fit else None,
            mentee=version("mentee"),
        )
        files.write_text(folder / IDS, content)
        write_signed(folder / MANIFEST, manifest.model_dump(mode="json"))
        with contextlib.suppress(FileNotFoundError):
            (folder / PROGRESS).unlink()


def _fit(folder: Path, shards: _Shards) -> dict[str, int | float | str]:
    """Write the statistics of what is stored; what the manifest says of them."""
    moments = statistics.Moments(shards.shape[-1])
    for shard in shards.done:
        rows = np.load(folder / shard.file, mmap_mode="r", allow_pickle=False)
        for start in range(0, len(rows), _CHUNK):
            moments.add(decode(np.array(rows[start : start + _CHUNK]), shards.dtype).numpy())
    fitted = moments.statistics()
    files.write(folder / STATISTICS, lambda path: statistics.save(fitted, path))
    return moments.scalars() | {"checksum": checksum(folder / STATISTICS)}


class _Shards:
    """The files of rows, written as the rows come; after a whole one the progress is kept."""

    def __init__(
        self,
        folder: Path,
        ids: Sequence[str],
        dtype: Dtype,
        scales: Sequence[float] | None,
        shard_rows: int | None,
    ) -> None:
        self.folder, self.ids, self.dtype = folder, ids, dtype
        self.scales, self.shard_rows = scales, shard_rows
        self.done: list[Shard] = []
        self.shape: tuple[int, ...] = ()
        self.written = 0
        self._room = 0  # rows that the open file still takes
        self._file: BinaryIO | None = None
        self._digest = hashlib.blake2b(digest_size=16)
        self._take_up()

    def _take_up(self) -> None:
        """Go on after the last whole shard of a process that was stopped."""
        try:
            said = json.loads((self.folder / PROGRESS).read_text(encoding="utf-8"))
            for each in map(Shard.model_validate, said["shards"]):
                if checksum(self.folder / each.file) != each.checksum:
                    break
                self.done.append(each)
            self.shape = tuple(said["shape"]) if self.done else ()
        except (OSError, ValueError, KeyError):
            return
        self.written = sum(shard.rows for shard in self.done)
        self.shard_rows = self.done[0].rows if self.done else self.shard_rows

    def add(self, batch: npt.NDArray[np.floating]) -> None:
        """Write the next rows."""
        if not self.shape or not self.shard_rows:
            self._begin(batch)
        if batch.shape[1:] != self.shape:
            said = [list(shape) for shape in (batch.shape[1:], self.shape)]
            raise DataError(
                f"the vectors of {self.ids[self.written]!r} have shape {said[0]}, those before "
                f"{said[1]}; frames need examples of one length, or pool over the example"
            )
        ids = self.ids[self.written : self.written + len(batch)]
        stored = encode(batch, self.dtype, ids, self.scales)
        while len(stored):
            if not self._room:
                self._open()
            part, stored = stored[: self._room], stored[self._room :]
            self._write(np.ascontiguousarray(part).tobytes())
            self.written, self._room = self.written + len(part), self._room - len(part)
            if not self._room:
                self._finish()

    def check_whole(self) -> None:
        """Make sure that every example has its row."""
        if self.written != len(self.ids):
            raise DataError(f"{self.written} rows came for {len(self.ids)} examples")

    def _begin(self, batch: npt.NDArray[np.floating]) -> None:
        self.shape = batch.shape[1:]
        row = int(np.prod(self.shape)) * STORED[self.dtype].itemsize
        usual = max(SHARD_ROWS, len(self.ids) // 1024)
        self.shard_rows = self.shard_rows or max(min(SHARD_BYTES // row, usual), 1)
        check_disk(row * len(self.ids), self.folder)

    def _open(self) -> None:
        rows = min(self.shard_rows or 0, len(self.ids) - self.written)
        path = self.folder / f"shard-{len(self.done):05d}.npy"
        with said_plainly(path):
            self._file = path.open("wb")
        self._digest, self._room = hashlib.blake2b(digest_size=16), rows
        self._write(header((rows, *self.shape), self.dtype))

    def _write(self, content: bytes) -> None:
        if self._file is None:
            raise RuntimeError("no shard is open")
        self._digest.update(content)
        with said_plainly(Path(self._file.name)):
            self._file.write(content)

    def _finish(self) -> None:
        if self._file is None:
            return
        path = Path(self._file.name)
        with said_plainly(path):
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
        rows = self.written - sum(shard.rows for shard in self.done)
        digest = self._digest.hexdigest()
        self.done.append(Shard(file=path.name, rows=rows, bytes=size, checksum=digest))
        self.close()
        shards = [shard.model_dump(mode="json") for shard in self.done]
        files.write_json(self.folder / PROGRESS, {"shape": self.shape, "shards": shards})

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            # After a failed write, closing fails again; the first error is the one to say.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def check_disk(needed: int, folder: Path) -> None:
    """Make sure that so many bytes are free where a folder is.

    Raises:
        RunError: they are not.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise RunError(
            f"the record needs {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free at "
            f"{there}; free some, or choose another folder with --out"
        )


def header(shape: tuple[int, ...], dtype: Dtype) -> bytes:
    """The head of an `.npy` file, which `numpy.load` reads.

    Args:
        shape: of the array that follows in C order.
        dtype: of its numbers.
    """
    said = {"descr": STORED[dtype].str, "fortran_order": False, "shape": shape}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, said)
    return file.getvalue()
