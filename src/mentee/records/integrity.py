"""Whether the files of a record are those that were written."""

from __future__ import annotations

import json
from pathlib import Path

from mentee.errors import DataError
from mentee.records.manifest import IDS, Manifest, Shard, checksum

MEND = "record anew, or copy the folder again from where it was whole"


_whole: set[tuple[Path, int, int, str]] = set()
"""Files whose checksum was right: (path, bytes, nanosecond of the last change, checksum)."""


def forget_whole() -> None:
    """Read every file anew when it is next checked, though nothing seems to have changed."""
    _whole.clear()


def check_shard(folder: Path, shard: Shard, *, verify: bool) -> None:
    """Compare a file of rows with what the manifest says of it.

    A file that was whole is read again only when it has changed: the runs of a sweep open the same
    record one after another.

    Args:
        folder: of the record.
        shard: what the manifest says.
        verify: compare its checksum, not only its size.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / shard.file
    if not path.is_file():
        raise DataError(f"{path} is missing; {MEND}")
    found = path.stat()
    size, seen = found.st_size, (path.resolve(), found.st_size, found.st_mtime_ns, shard.checksum)
    if size != shard.bytes:
        raise DataError(f"{path} is damaged: it has {size:,} bytes of {shard.bytes:,}; {MEND}")
    if verify and seen not in _whole:
        if checksum(path) != shard.checksum:
            raise DataError(f"{path} is damaged: its checksum is another one; {MEND}")
        _whole.add(seen)


def read_ids(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """The ids of a record's rows.

    Raises:
        DataError: their file is missing or damaged.
    """
    path = folder / IDS
    if not path.is_file():
        raise DataError(f"{path} is missing; {MEND}")
    if checksum(path) != manifest.ids:
        raise DataError(f"{path} is damaged: its checksum is another one; {MEND}")
    ids = tuple(json.loads(path.read_text(encoding="utf-8")))
    if len(ids) != manifest.rows:
        raise DataError(f"{path} has {len(ids)} ids for {manifest.rows} rows; {MEND}")
    return ids
