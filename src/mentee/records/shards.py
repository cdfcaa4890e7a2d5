"""The files of rows of a record, written as the rows come, and gone on with after a stop."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from mentee import files
from mentee.errors import DataError, RunError
from mentee.files import plain_write_errors
from mentee.records.manifest import Dtype, Manifest, Shard, checksum
from mentee.records.numeric import STORED, encode

SHARD_BYTES, SHARD_ROWS = 256 << 20, 16_384
"""Size of a shard where the user names no number of rows: what a killed process loses at most."""

PROGRESS = "progress.json"


class Shards:
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
            shard_rows = int(said["shard_rows"])
            for each in map(Shard.model_validate, said["shards"]):
                if checksum(self.folder / each.file) != each.checksum:
                    break
                self.done.append(each)
            self.shape = tuple(said["shape"]) if self.done else ()
        except (OSError, ValueError, KeyError):
            return
        self.written = sum(shard.rows for shard in self.done)
        self.shard_rows = shard_rows if self.done else self.shard_rows

    def take_over(self, folder: Path, manifest: Manifest) -> None:
        """Make the files of a record of the first rows files of this one, without a copy."""
        for each in manifest.shards:
            path = self.folder / each.file
            with plain_write_errors(path):
                path.unlink(missing_ok=True)
                try:
                    os.link(folder / each.file, path)
                except OSError:  # a file system without links
                    shutil.copyfile(folder / each.file, path)
        self.done, self.written = list(manifest.shards), manifest.rows
        self.shape = manifest.shape[1:]

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
        self.shape = self.shape or batch.shape[1:]
        row = int(np.prod(self.shape)) * STORED[self.dtype].itemsize
        usual = max(SHARD_ROWS, len(self.ids) // 1024)
        self.shard_rows = self.shard_rows or max(min(SHARD_BYTES // row, usual), 1)
        check_disk(row * (len(self.ids) - self.written), self.folder)

    def _open(self) -> None:
        rows = min(self.shard_rows or 0, len(self.ids) - self.written)
        path = self.folder / f"shard-{len(self.done):05d}.npy"
        with plain_write_errors(path):
            path.unlink(missing_ok=True)  # never into a file that another record has too
            self._file = path.open("wb")
        self._digest, self._room = hashlib.blake2b(digest_size=16), rows
        self._write(header((rows, *self.shape), self.dtype))

    def _write(self, content: bytes) -> None:
        if self._file is None:
            raise RuntimeError("no shard is open")
        self._digest.update(content)
        with plain_write_errors(Path(self._file.name)):
            self._file.write(content)

    def _finish(self) -> None:
        if self._file is None:
            return
        path = Path(self._file.name)
        with plain_write_errors(path):
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
        rows = self.written - sum(shard.rows for shard in self.done)
        digest = self._digest.hexdigest()
        self.done.append(Shard(file=path.name, rows=rows, bytes=size, checksum=digest))
        self.close()
        shards = [shard.model_dump(mode="json") for shard in self.done]
        said = {"shape": self.shape, "shard_rows": self.shard_rows, "shards": shards}
        files.write_json(self.folder / PROGRESS, said)

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
