"""The files of rows: written as rows come, and resumed after a stop."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from mentee import files
from mentee.errors import RunError
from mentee.files import plain_write_errors
from mentee.records.codecs import STORED, Floats, encode, header
from mentee.records.columns import Dtype
from mentee.records.folders import PROGRESS
from mentee.records.manifest import Part, Shard, checksum
from mentee.urls import Url

SHARD_BYTES, SHARD_ROWS = 256 << 20, 16_384
"""Size of a shard where the user names no number of rows: what a killed process loses at most."""


def link(source: Path | Url, target: Path | Url) -> None:
    """Make a file that is whole a file of another record too, without a copy where that can be."""
    if isinstance(source, Url) or isinstance(target, Url):
        raise TypeError("no record in object storage is extended")
    with plain_write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # a file system without links
            shutil.copyfile(source, target)


class ShardWriter:
    """Writes the rows of one part; after each whole shard the progress is saved.

    To object storage a shard is uploaded when it is whole; until then it is a temporary file.

    A part that a stopped process left is resumed after its last whole shard. One has `shard_rows`
    rows of d `numbers`; None: 16,384, more of a huge record, at most 256 MiB.
    """

    def __init__(
        self,
        folder: Path | Url,
        ids: Sequence[str],
        numbers: int,
        dtype: Dtype,
        scales: Sequence[float] | None = None,
        shard_rows: int | None = None,
    ) -> None:
        self.folder, self.ids, self.numbers = folder, ids, numbers
        self.dtype, self.scales = dtype, scales
        self.shards: list[Shard] = []
        usual = max(SHARD_ROWS, len(ids) // 1024)
        row_bytes = numbers * STORED[dtype].itemsize
        self.shard_rows = shard_rows or max(min(SHARD_BYTES // row_bytes, usual), 1)
        self.written = 0
        self._room = 0  # rows that the open file still takes
        self._file: IO[bytes] | None = None
        self._digest = hashlib.blake2b(digest_size=16)
        self._resume()

    def _resume(self) -> None:
        """Take up the whole shards of a process that was stopped."""
        for each in shards_in(self.folder):
            if not self._is_whole(self.folder / each.file, each):
                break
            self.shards.append(each)
            self.written += each.rows

    def _is_whole(self, path: Path | Url, shard: Shard) -> bool:
        if isinstance(path, Url):  # there as a whole, or not at all
            return path.size() == shard.bytes
        return path.is_file() and checksum(path) == shard.checksum

    def take_over(self, folder: Path | Url, part: Part) -> None:
        """Begin with the rows of a part of another record, whose files become files of this one."""
        for each in part.shards:
            link(folder / part.folder / each.file, self.folder / each.file)
        self.shards, self.written = list(part.shards), part.rows
        self._save_progress()

    def add(self, rows: Floats) -> None:
        """Write the next rows, `[b, d]`."""
        ids = self.ids[self.written : self.written + len(rows)]
        stored = encode(rows, self.dtype, ids, self.scales)
        while len(stored):
            if not self._room:
                self._open()
            some, stored = stored[: self._room], stored[self._room :]
            self._write(np.ascontiguousarray(some).tobytes())
            self.written, self._room = self.written + len(some), self._room - len(some)
            if not self._room:
                self._finish()

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            # After a failed write, closing fails again; the first error is the one to report.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    @property
    def _path(self) -> Path | Url:
        return self.folder / f"shard-{len(self.shards):05d}.npy"

    def _open(self) -> None:
        rows = min(self.shard_rows, len(self.ids) - self.written)
        path = self._path
        with plain_write_errors(path):
            if isinstance(path, Url):
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - a kill leaves nothing
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # never into a file that another record has too
                self._file = path.open("wb")
        self._digest, self._room = hashlib.blake2b(digest_size=16), rows
        self._write(header((rows, self.numbers), self.dtype))

    def _write(self, content: bytes) -> None:
        if self._file is None:
            raise RuntimeError("no shard is open")
        self._digest.update(content)
        remote = isinstance(self.folder, Url)
        with plain_write_errors(Path(tempfile.gettempdir()) if remote else self._path):
            self._file.write(content)

    def _finish(self) -> None:
        if self._file is None:
            return
        path = self._path
        with plain_write_errors(path):
            self._file.flush()
            if isinstance(path, Url):
                path.upload(self._file)
            else:
                os.fsync(self._file.fileno())
            size = self._file.tell()
        rows = self.written - sum(each.rows for each in self.shards)
        digest = self._digest.hexdigest()
        self.shards.append(Shard(file=path.name, rows=rows, bytes=size, checksum=digest))
        self.close()
        self._save_progress()

    def _save_progress(self) -> None:
        shards = [each.model_dump(mode="json") for each in self.shards]
        files.write_json(self.folder / PROGRESS, shards)


def shards_in(folder: Path | Url) -> tuple[Shard, ...]:
    """The shards that were written so far to a part's folder; none where it cannot be told."""
    try:
        content = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        return tuple(map(Shard.model_validate, content))
    except (OSError, ValueError, TypeError):
        return ()


def rows_in(folder: Path | Url) -> int:
    """How many rows were written so far to a part's folder, in whole shards."""
    return sum(each.rows for each in shards_in(folder))


def check_disk(needed: int, folder: Path) -> None:
    """Make sure that so many bytes are free where a folder is."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise RunError(
            f"the record needs {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free at "
            f"{existing}; free some, or choose another folder with --out"
        )
