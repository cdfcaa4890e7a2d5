"""Vectors → a folder that is either a whole record or not there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
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
from mentee.teachers.record.manifest import IDS, MANIFEST, STATISTICS, Dtype, Manifest, Shard

SHARD_BYTES = 256 << 20
"""Size of a shard where the user names no number of rows."""


@dataclass(frozen=True)
class About:
    """What a record says of itself beyond its rows.

    Attributes:
        name: what to call it.
        kind: image, audio or text.
        teacher: where the vectors come from.
        data: which examples they belong to.
    """

    name: str
    kind: Kind
    teacher: dict[str, Any]
    data: dict[str, Any]


def write_record(
    out: Path,
    batches: Iterator[npt.NDArray[np.floating]],
    ids: Sequence[str],
    about: About,
    *,
    dtype: Dtype,
    shard_rows: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write the rows of all examples, one batch after the other.

    Until the last byte is on the disk there is no record, and the one there was stays.

    Args:
        out: the folder to write.
        batches: `[b, d]` or `[b, t, d]` each, in the order of `ids`.
        ids: `n` names.
        about: the rest of the manifest.
        dtype: `float16` or `float32`.
        shard_rows: rows of a file; None: as many as 256 MiB hold.
        overwrite: put it in the place of a record that is there.

    Raises:
        DataError: `out` is there; a number is not finite, or too large for `dtype`.
        RunError: the disk is full, or writing is not allowed.

    Memory: O(b t d + d²).
    """
    if shard_rows is not None and shard_rows < 1:
        raise DataError(f"shard_rows is {shard_rows}, expected at least 1")
    with new_folder(out, overwrite=overwrite) as folder:
        shards = _Shards(folder, ids, dtype, shard_rows)
        try:
            for batch in batches:
                shards.add(batch)
        finally:
            shards.close()
        shards.check_whole()
        frames, width = shards.shape[:-1], shards.shape[-1]
        content = json.dumps(list(ids)) + "\n"
        manifest = Manifest(
            name=about.name,
            kind=about.kind,
            width=width,
            frames=frames[0] if frames else None,
            rows=len(ids),
            dtype=dtype,
            teacher=about.teacher,
            data=about.data,
            ids=hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
            shards=tuple(shards.done),
            statistics=shards.moments.scalars(),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            mentee=version("mentee"),
        )
        files.write_text(folder / IDS, content)
        fitted = shards.moments.statistics()
        files.write(folder / STATISTICS, lambda path: statistics.save(fitted, path))
        files.write_json(folder / MANIFEST, manifest.model_dump(mode="json"))


class _Shards:
    """The files of rows, written as the rows come."""

    def __init__(
        self, folder: Path, ids: Sequence[str], dtype: Dtype, shard_rows: int | None
    ) -> None:
        self.folder, self.ids, self.dtype, self.shard_rows = folder, ids, dtype, shard_rows
        self.done: list[Shard] = []
        self.shape: tuple[int, ...] = ()
        self.moments = statistics.Moments(0)
        self._written = 0
        self._room = 0  # rows that the open file still takes
        self._file: BinaryIO | None = None
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, batch: npt.NDArray[np.floating]) -> None:
        """Write the next rows."""
        if not self.shape:
            self._begin(batch)
        if batch.shape[1:] != self.shape:
            said = [list(shape) for shape in (batch.shape[1:], self.shape)]
            raise DataError(
                f"the vectors of {self.ids[self._written]!r} have shape {said[0]}, those before "
                f"{said[1]}; frames need examples of one length, or pool over the example"
            )
        batch = as_dtype(batch, self.dtype, self.ids[self._written : self._written + len(batch)])
        self.moments.add(batch)
        while len(batch):
            if not self._room:
                self._open()
            part, batch = batch[: self._room], batch[self._room :]
            self._write(np.ascontiguousarray(part).tobytes())
            self._written, self._room = self._written + len(part), self._room - len(part)
            if not self._room:
                self._finish()

    def check_whole(self) -> None:
        """Make sure that every example has its row."""
        if self._written != len(self.ids):
            raise DataError(f"{self._written} rows came for {len(self.ids)} examples")

    def _begin(self, batch: npt.NDArray[np.floating]) -> None:
        self.shape = batch.shape[1:]
        self.moments = statistics.Moments(self.shape[-1])
        row = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        self.shard_rows = self.shard_rows or max(SHARD_BYTES // row, 1)
        needed, free = row * len(self.ids), shutil.disk_usage(self.folder).free
        if needed > free:
            raise RunError(
                f"the record needs {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free at "
                f"{self.folder.parent}; free some, or choose another folder with --out"
            )

    def _open(self) -> None:
        rows = min(self.shard_rows or 0, len(self.ids) - self._written)
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
        rows = self._written - sum(shard.rows for shard in self.done)
        digest = self._digest.hexdigest()
        self.done.append(Shard(file=path.name, rows=rows, bytes=size, checksum=digest))
        self.close()

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            # After a failed write, closing fails again; the first error is the one to say.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def header(shape: tuple[int, ...], dtype: Dtype) -> bytes:
    """The head of an `.npy` file, which `numpy.load` reads.

    Args:
        shape: of the array that follows in C order.
        dtype: of its numbers.
    """
    said = {"descr": np.dtype(dtype).newbyteorder("<").str, "fortran_order": False, "shape": shape}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, said)
    return file.getvalue()


def as_dtype(
    vectors: npt.NDArray[np.floating], dtype: Dtype, ids: Sequence[str]
) -> npt.NDArray[np.floating]:
    """The vectors in the type they are stored in.

    Args:
        vectors: `[b, ...]`.
        dtype: `float16` or `float32`.
        ids: whose vectors they are.

    Raises:
        DataError: a number is not finite, or too large for `dtype`.
    """
    with np.errstate(over="ignore"):
        stored = vectors.astype(np.dtype(dtype).newbyteorder("<"))
    fine = np.isfinite(stored)
    if fine.all():
        return stored
    row, *place = (int(i) for i in np.argwhere(~fine)[0])
    value, where = float(vectors[(row, *place)]), f"entry {place} of {ids[row]!r}"
    if not np.isfinite(value):
        raise DataError(f"{where} is {value}: expected finite numbers; look at this example")
    largest = np.finfo(dtype).max
    advice = "record as float32" if dtype == "float16" else "scale the vectors"
    raise DataError(f"{where} is {value:g}, more than {dtype} holds ({largest:g}); {advice}")
