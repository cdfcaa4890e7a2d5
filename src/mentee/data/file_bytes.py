"""Encoded files (JPEG, PNG, WAV, MP3, ...) by row of a source: in a folder, or in a column."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mentee.data.payload import Rows
from mentee.errors import DataError

_SAMPLE = 64


@runtime_checkable
class Files(Protocol):
    """Encoded files, by row of the source."""

    def fetch(self, rows: Rows) -> list[bytes]:
        """The undecoded bytes of each row."""
        ...

    def stamp(self) -> bytes:
        """What is another where a file is another: names what was decoded from the files."""
        ...


class FolderFiles:
    """Files below one folder.

    Args:
        root: the folder.
        names: each row's path in it.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.names = names

    def fetch(self, rows: Rows) -> list[bytes]:
        """The undecoded bytes of each row."""
        return [_file_bytes(self.root / self.names[row]) for row in rows]

    def stamp(self) -> bytes:
        """Of names, sizes and times of all files, and the bytes of 64 evenly spaced ones."""
        digest = hashlib.blake2b()
        for name in self.names:
            file = _stat(self.root / name)
            digest.update(repr((name, file.st_size, file.st_mtime_ns)).encode())
        some = np.linspace(0, len(self.names) - 1, min(len(self.names), _SAMPLE))
        for data in self.fetch(some.astype(np.int64)):
            digest.update(hashlib.blake2b(data).digest())
        return digest.digest()


class ColumnFiles:
    """Files inside a column of a `datasets.Dataset`.

    Args:
        dataset: the data set, in `arrow` format, with this one column.
        column: holds bytes, or structs of `bytes` and `path`.
    """

    def __init__(self, dataset: Any, column: str) -> None:
        self.dataset = dataset
        self.column = column

    def fetch(self, rows: Rows) -> list[bytes]:
        """The undecoded bytes of each row."""
        return [self._bytes(cell) for cell in self.dataset[rows][self.column].to_pylist()]

    def stamp(self) -> bytes:
        """Of the bytes of all rows."""
        digest, rows = hashlib.blake2b(), np.arange(len(self.dataset))
        for some in np.array_split(rows, max(1, -(-len(rows) // 256))):
            for data in self.fetch(some):
                digest.update(hashlib.blake2b(data).digest())
        return digest.digest()

    def _bytes(self, cell: Any) -> bytes:
        content = (cell.get("bytes") or cell.get("path")) if isinstance(cell, dict) else cell
        return _file_bytes(Path(content)) if isinstance(content, str) else bytes(content or b"")


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: OSError) -> str:
    return (
        f"the file {path} cannot be read ({error.strerror}); "
        "put it back, or leave it out of the source"
    )
