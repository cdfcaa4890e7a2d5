"""The rows of a record: mapped where they lie, fetched by range from object storage, or loaded."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mentee.errors import DataError, RunError
from mentee.free_memory import available
from mentee.records.codecs import STORED
from mentee.records.columns import Dtype
from mentee.records.integrity import COPY_AGAIN
from mentee.records.manifest import Part, Shard

AT_ONCE, GAP = 64 << 20, 128 << 10
"""Of rows in object storage: bytes that are fetched together, and the most that lie between two
rows which are fetched as one range."""


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
