"""The files of rows: written as rows come and resumed after a stop, checked, and mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch

from mentee import files
from mentee.errors import DataError, RunError
from mentee.files import plain_write_errors
from mentee.free_memory import available
from mentee.records.codecs import STORED, Floats, encode, header
from mentee.records.columns import Dtype
from mentee.records.folders import PROGRESS
from mentee.records.integrity import COPY_AGAIN
from mentee.records.manifest import Part, Shard, checksum
from mentee.urls import Url

SHARD_BYTES, SHARD_ROWS = 256 << 20, 16_384
"""Size of a shard where the user names no number of rows: what a killed process loses at most."""

AT_ONCE, GAP = 64 << 20, 128 << 10
"""Of rows in object storage: bytes that are fetched together, and the most that lie between two
rows which are fetched as one range."""


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


class MappedRows:
    """The rows of one part, of d `numbers` each, read where they lie, never all at once."""

    remote = False
    """Whether to read them takes so long that it is worth reading them ahead."""

    def __init__(self, folder: Any, part: Part, numbers: int, dtype: Dtype) -> None:
        self.folder, self.part, self.numbers, self.dtype = folder, part, numbers, dtype
        sizes = [each.rows for each in part.shards]
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes

    def __getstate__(self) -> dict[str, Any]:
        """For another process: no rows, which it maps for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "arrays"}

    def read(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
        """Some rows as they are stored, `[b, d]`, a copy."""
        if len(self.arrays) == 1:
            return self.arrays[0].take(index, axis=0)
        rows = np.empty((len(index), self.numbers), STORED[self.dtype])
        shard = np.searchsorted(self._ends, index, side="right")
        for number in np.unique(shard):
            here = np.flatnonzero(shard == number)
            rows[here] = self.arrays[number].take(index[here] - self._starts[number], axis=0)
        return rows

    def load(self) -> None:
        """Copy all rows into memory, pinned where CUDA is there; from now on they are read there.

        Memory: as many bytes as the files have.
        """
        for number, rows in enumerate(self.arrays):
            array = pinned_empty(rows.shape, rows.dtype)
            np.copyto(array, rows)
            self.arrays[number] = array

    @cached_property
    def arrays(self) -> list[npt.NDArray[np.generic]]:
        """The files, mapped."""
        return [self._map(each) for each in self.part.shards]

    def _map(self, shard: Shard) -> npt.NDArray[np.generic]:
        path = self.folder / shard.file
        try:
            rows = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({error}); {COPY_AGAIN}") from error
        if rows.shape != (shard.rows, self.numbers) or rows.dtype != STORED[self.dtype]:
            raise DataError(
                f"{path} holds {rows.dtype} {list(rows.shape)}, the manifest says "
                f"{self.dtype} {[shard.rows, self.numbers]}; {COPY_AGAIN}"
            )
        return rows


class RangedRows(MappedRows):
    """The rows of one part in object storage, of which only those that are read are fetched.

    Neighboring rows are fetched together, and all of a call at the same time. The local cache of
    fsspec (`simplecache::s3://...`) has whole files instead.
    """

    remote = True

    def read(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
        """Some rows as they are stored, `[b, d]`, a copy.

        Raises:
            DataError: a file is missing, or shorter than it was.
            RunError: the storage cannot be reached.

        Memory: 64 MiB besides the rows.
        """
        if "arrays" in self.__dict__:
            return super().read(index)
        rows = np.empty((len(index), self.numbers), STORED[self.dtype])
        order = np.argsort(index, kind="stable")
        step = max(AT_ONCE // self._row_bytes, 1)
        for start in range(0, len(order), step):
            self._fetch(rows, index, order[start : start + step])
        return rows

    def load(self) -> None:
        """Fetch all rows into memory; from now on they are read there."""
        arrays = []
        for start, stop in zip(self._starts, self._ends, strict=True):
            array = pinned_empty((int(stop - start), self.numbers), STORED[self.dtype])
            step = max(AT_ONCE // self._row_bytes, 1)
            for row in range(start, stop, step):
                some = np.arange(row, min(row + step, stop))
                array[some - start] = self.read(some)
            arrays.append(array)
        self.arrays = arrays

    @property
    def _row_bytes(self) -> int:
        return self.numbers * STORED[self.dtype].itemsize

    def _fetch(
        self,
        rows: npt.NDArray[np.generic],
        index: npt.NDArray[np.int64],
        chosen: npt.NDArray[np.intp],
    ) -> None:
        """Read the rows `index[chosen]`, ascending, into `rows[chosen]`."""
        size = self._row_bytes
        shard = np.searchsorted(self._ends, index[chosen], side="right")
        own = index[chosen] - self._starts[shard]
        apart = (np.diff(shard) != 0) | (np.diff(own) * size > GAP)
        first = np.flatnonzero(np.append(True, apart))
        last = np.append(first[1:], len(chosen)) - 1
        shards = [self.part.shards[number] for number in shard[first]]
        heads = np.array([each.bytes - each.rows * size for each in shards])
        starts, stops = heads + own[first] * size, heads + (own[last] + 1) * size
        blocks = self.folder.read_ranges([x.file for x in shards], starts.tolist(), stops.tolist())
        for begin, end, block in zip(first, last, blocks, strict=True):
            there = np.frombuffer(block, rows.dtype).reshape(-1, self.numbers)
            rows[chosen[begin : end + 1]] = there[own[begin : end + 1] - own[begin]]


def pinned_empty(shape: tuple[int, int], dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    """An array in memory, pinned where CUDA is there."""
    size, pinned = math.prod(shape) * dtype.itemsize, torch.cuda.is_available()
    memory = torch.empty(size, dtype=torch.uint8, pin_memory=pinned).numpy()
    return memory.view(dtype).reshape(shape)


def load_rows(parts: Iterable[MappedRows], *, name: str) -> None:
    """Copy the rows of records into memory, each process for itself; pinned where CUDA is there.

    Raises:
        RunError: there is not enough memory; nothing was copied then.
    """
    parts = list(parts)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    size = processes * sum(each.part.bytes for each in parts)
    free = available()
    advice = "leave it out, and the rows are read where they lie"
    if free is not None and size > free:
        shared = f" for {processes} processes" if processes > 1 else ""
        raise RunError(
            f"teacher.in_memory: {name} needs {size / 1e6:,.1f} MB{shared} and {free / 1e6:,.1f} "
            f"MB are available; {advice}, or record fewer bytes (--dtype, --pca, --top-k)"
        )
    try:
        for each in parts:
            each.load()
    except MemoryError as error:
        raise RunError(f"teacher.in_memory: {name} does not fit into memory; {advice}") from error
