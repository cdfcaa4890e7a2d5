"""Vectors → a folder that is either a whole record or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee import files
from mentee.errors import DataError
from mentee.records import statistics
from mentee.records.folder import new_folder
from mentee.records.manifest import (
    IDS,
    MANIFEST,
    STATISTICS,
    Dtype,
    Manifest,
    checksum,
    read_manifest,
)
from mentee.records.numeric import decode
from mentee.records.shards import PROGRESS, Shards
from mentee.records.signed import write_signed

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
    kind: str
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
    before: Path | None = None,
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
        before: a record of the first rows, whose files become a part of this one.

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
    held = None if before is None else read_manifest(before)
    plan |= {"shard_rows": shard_rows, "held": held and held.ids}
    with new_folder(out, plan, overwrite=overwrite) as begun:
        folder = begun.path
        shards = Shards(folder, ids, dtype, scales, shard_rows)
        if before is not None and held is not None and shards.written < held.rows:
            shards.take_over(before, held)
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


def _fit(folder: Path, shards: Shards) -> dict[str, int | float | str]:
    """Write the statistics of what is stored; what the manifest says of them."""
    moments = statistics.Moments(shards.shape[-1])
    for shard in shards.done:
        rows = np.load(folder / shard.file, mmap_mode="r", allow_pickle=False)
        for start in range(0, len(rows), _CHUNK):
            moments.add(decode(np.array(rows[start : start + _CHUNK]), shards.dtype).numpy())
    fitted = moments.statistics()
    files.write(folder / STATISTICS, lambda path: statistics.save(fitted, path))
    return moments.scalars() | {"checksum": checksum(folder / STATISTICS)}
