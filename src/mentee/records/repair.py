"""Record anew what is damaged of a record; what is whole stays as it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mentee import files
from mentee.errors import DataError
from mentee.parallel import max_over_processes, rank
from mentee.records.codecs import encode, header
from mentee.records.integrity import check_file, check_shard, forget_checksums, read_ids
from mentee.records.manifest import (
    IDS,
    Manifest,
    Part,
    Shard,
    basis_file,
    checksum,
    ids_text,
    read_manifest,
    write_manifest,
)
from mentee.records.plan import RecordingJob
from mentee.records.reader import Record
from mentee.records.statistics import load_bases
from mentee.records.writer import packed_numbers
from mentee.urls import Url


def repair_record(
    out: Path | Url, job: RecordingJob, *, say: Callable[[str], None] = lambda line: None
) -> Record:
    """Record the damaged files of rows anew, by the same teacher of the same examples.

    The record has been locked before. The same batches are computed, so that a teacher that
    computes the same numbers gives the same bytes. Where the last digits differ, as they may on
    another device, the manifest gets the new checksum.

    Raises:
        DataError: the manifest, or what only all rows can tell, is damaged, or the teacher or the
            examples are others.

    Memory: O(one file of rows).
    """
    max_over_processes(0)
    if rank() == 0:
        _repair(out, job, say)
    max_over_processes(0)
    return Record.open(out)


def _repair(out: Path | Url, job: RecordingJob, say: Callable[[str], None]) -> None:
    manifest = read_manifest(out)
    forget_checksums()
    _repair_ids(out, manifest, job)
    for number, group in enumerate(manifest.groups):
        if group.basis is not None:
            check_file(out / basis_file(number), group.basis)
    job = job.following(out, manifest)
    job.merged(manifest)  # refuses another teacher
    damaged = {
        (each.folder, shard.file)
        for each in manifest.parts
        for shard in each.shards
        if _damaged(out, manifest, each, shard)
    }
    say(f"{out}: {len(damaged):,} damaged files of rows")
    parts = []
    for part in manifest.parts:
        starts = itertools.accumulate((each.rows for each in part.shards), initial=0)
        shards = [
            _written(out, manifest, job, part, shard, start)
            if (part.folder, shard.file) in damaged
            else shard
            for shard, start in zip(part.shards, starts, strict=False)
        ]
        parts.append(part.model_copy(update={"shards": tuple(shards)}))
    if tuple(parts) != manifest.parts:
        say("the teacher's last digits are not those of before: the checksums are new")
        write_manifest(out, manifest.model_copy(update={"parts": tuple(parts)}))


def _damaged(out: Path | Url, manifest: Manifest, part: Part, shard: Shard) -> bool:
    numbers = manifest.numbers(part.group)
    try:
        check_shard(out / part.folder, shard, numbers, manifest.dtype, verify=True)
    except DataError:
        return True
    return False


def _repair_ids(out: Path | Url, manifest: Manifest, job: RecordingJob) -> None:
    """Write the ids again where they are damaged and the examples have them in the same order."""
    try:
        read_ids(out, manifest)
    except DataError:
        text = ids_text(job.examples.ids)
        if checksum(text) != manifest.ids:
            raise DataError(
                f"{out / IDS} is damaged, and the examples are not in the order that it had; "
                "record all again (--overwrite)"
            ) from None
        files.write_text(out / IDS, text)


def _written(
    out: Path | Url, manifest: Manifest, job: RecordingJob, part: Part, shard: Shard, start: int
) -> Shard:
    """A file of rows, computed and written again."""
    group, path = manifest.groups[part.group], out / part.folder / shard.file
    bases = {}
    if group.basis is not None:
        bases = load_bases(out / basis_file(part.group), group.columns)
    stop, pieces = start + shard.rows, []
    for rows in _batches(manifest, job.batch):
        if rows[0] < stop and rows[-1] >= start:
            inside = (rows >= start) & (rows < stop)
            packed = packed_numbers(job, group.columns, bases, rows, part.view)[inside]
            ids = [job.examples.ids[row] for row in rows[inside].tolist()]
            pieces.append(encode(packed, manifest.dtype, ids, group.scales))
    head = header((shard.rows, manifest.numbers(part.group)), manifest.dtype)
    content = head + np.concatenate(pieces).tobytes()
    files.write(path, lambda temporary: temporary.write_bytes(content))
    return shard.model_copy(update={"bytes": len(content), "checksum": checksum(path)})


def _batches(manifest: Manifest, batch: int) -> list[npt.NDArray[np.int64]]:
    """The batches that the rows were computed in, which began anew each time the record grew."""
    grown = manifest.data.get("parts") or [{"rows": manifest.rows}]
    ends = list(itertools.accumulate(int(each["rows"]) for each in grown))
    return [
        np.arange(begin, min(begin + batch, end))
        for first, end in zip([0, *ends], ends, strict=False)
        for begin in range(first, end, batch)
    ]
