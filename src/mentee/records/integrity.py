"""Whether the files of a record are those that were written: sizes, checksums, finite numbers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from mentee.errors import DataError
from mentee.records.codecs import header
from mentee.records.columns import Dtype
from mentee.records.manifest import IDS, Manifest, Shard, checksum
from mentee.urls import Url

COPY_AGAIN = (
    "record what is damaged again (the command that recorded it, with --repair), or copy the "
    "folder again from where it was whole"
)
_EXPONENT = {
    "float32": ("<u4", 0x7F800000),
    "float16": ("<u2", 0x7C00),
    "bfloat16": ("<u2", 0x7F80),
}
"""The bits that are all set where a number is not finite, and how they are read."""

_intact: set[tuple[Path, int, int, str]] = set()
"""Files whose checksum was right: (path, bytes, nanosecond of the last change, checksum)."""


def forget_checksums() -> None:
    """Read every file again when it is next checked, though nothing seems to have changed."""
    _intact.clear()


def check_shard(
    folder: Path | Url, shard: Shard, numbers: int, dtype: Dtype, *, verify: bool
) -> None:
    """Compare a file of rows with the manifest: its size; to `verify`, checksum and numbers too.

    A file that was whole is read again only when it has changed: the runs of a sweep open the same
    record one after another.
    """
    path = folder / shard.file
    if isinstance(path, Url):
        size, state = path.size(), None
    elif path.is_file():
        size, changed = path.stat().st_size, path.stat().st_mtime_ns
        state = (path.resolve(), size, changed, shard.checksum)
    else:
        size = state = None
    if size is None:
        raise DataError(f"{path} is missing; {COPY_AGAIN}")
    if size != shard.bytes:
        held = f"it has {size:,} bytes of {shard.bytes:,}"
        raise DataError(f"{path} is damaged: {held}; {COPY_AGAIN}")
    if verify and (state is None or state not in _intact):
        digest, problem = _scanned(path, header((shard.rows, numbers), dtype), dtype)
        if digest != shard.checksum:
            problem = "its checksum is another one"
        if problem:
            raise DataError(f"{path} is damaged: {problem}; {COPY_AGAIN}")
        if state is not None:
            _intact.add(state)


def _scanned(path: Path | Url, head: bytes, dtype: Dtype) -> tuple[str, str]:
    """The checksum of a file of rows, and what is wrong with its content."""
    digest, problem = hashlib.blake2b(digest_size=16), ""
    with path.open("rb") as file:
        begin = file.read(len(head))
        digest.update(begin)
        if begin != head:
            problem = "it holds an array of another type or shape than the manifest says"
        while block := file.read(1 << 20):
            digest.update(block)
            if dtype in _EXPONENT and not problem:
                kind, bits = _EXPONENT[dtype]
                whole = np.frombuffer(block, kind, len(block) // np.dtype(kind).itemsize)
                if ((whole & bits) == bits).any():
                    problem = "it holds numbers that are not finite"
    return digest.hexdigest(), problem


def check_file(path: Path | Url, expected: str) -> None:
    """Compare a file's checksum with that of the manifest."""
    if not path.is_file():
        raise DataError(f"{path} is missing; {COPY_AGAIN}")
    if checksum(path) != expected:
        raise DataError(f"{path} is damaged: its checksum is another one; {COPY_AGAIN}")


def read_ids(folder: Path | Url, manifest: Manifest) -> tuple[str, ...]:
    """The ids of a record's rows."""
    path = folder / IDS
    check_file(path, manifest.ids)
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); {COPY_AGAIN}") from error
    if not isinstance(ids, list) or not all(isinstance(text, str) for text in ids):
        raise DataError(f"{path} is no list of texts, one id for each row; {COPY_AGAIN}")
    if len(ids) != manifest.rows or len(set(ids)) != len(ids):
        count = f"{len(ids):,} ids, {len(set(ids)):,} of them different,"
        raise DataError(f"{path} has {count} for {manifest.rows:,} rows; {COPY_AGAIN}")
    return tuple(ids)
