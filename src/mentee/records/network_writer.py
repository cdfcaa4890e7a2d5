"""Run a network once over examples and their views, and keep what methods read of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mentee import files
from mentee.files import plain_write_errors
from mentee.records.codecs import Bases, Basis, fit, load, pack, save
from mentee.records.columns import Column
from mentee.records.embedding_recording import batches_from
from mentee.records.embedding_writer import write_record
from mentee.records.manifest import checksum, read_manifest
from mentee.records.network_manifest import PLACES, BasisFile, NetworkManifest, basis_of, folder_of
from mentee.records.network_record import NetworkRecord
from mentee.records.numeric import scales_of
from mentee.records.planning import RecordingPlan, beside, plan
from mentee.records.signed import write_signed
from mentee.records.views import RecordingJob, RecordingView, about
from mentee.types import CLEAN

Rows: TypeAlias = Iterator[npt.NDArray[np.float32]]

SAMPLE = 512  # examples that the scales of int8 are measured on
DIRECTIONS = 4096  # examples that principal directions are fitted on


def write_network_record(
    out: Path, recording: RecordingJob, *, overwrite: bool = False, **how: Any
) -> NetworkRecord:
    """Write what is missing of a record of places; what is there already is not done again.

    Args:
        out: the folder.
        recording: what is recorded.
        overwrite: as for `plan`.
        how: as for `carry_out`.

    Raises:
        DataError: something else is there, or a number is not finite or too large for `dtype`.
        RunError: the disk is too small, or writing is not allowed.
    """
    settle(out)
    return carry_out(plan(out, recording, overwrite=overwrite), **how)


def carry_out(
    planned: RecordingPlan,
    *,
    rank: int = 0,
    world: int = 1,
    wait: Callable[[], object] = lambda: None,
    shard_rows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> NetworkRecord:
    """Write what is missing of a record of places.

    Each view is a record of its own and whole or not there. Several processes share the views. The
    folder counts as a record once all are there; an earlier one stays in use until then.

    Args:
        planned: what is to be written.
        rank: of this process.
        world: how many processes there are.
        wait: returns when all processes are there.
        shard_rows: as for `record`.
        progress: called after each batch with the examples done by this process and those it does.
        say: what to do with a line of text.

    Returns:
        The record, opened.

    Raises:
        DataError: a number is not finite or too large for `dtype`.
        RunError: writing is not allowed.
    """
    wait()  # all have seen the same folder
    if planned.stale and rank == 0:
        shutil.rmtree(planned.folder)
    wait()
    if rank == 0:
        find_bases(planned)
    wait()
    bases, manifest = read_bases(planned)
    for name, share in (pair for each in manifest.bases for pair in each.explained.items()):
        count = next(c.count for c in manifest.columns if c.name == name)
        say(f"{name}: {count} principal components have {share:.1%} of the variance")
    recording, mine = planned.recording, planned.sheets[rank::world]
    n, every, done = len(recording.examples), sum(map(planned.rows, mine)), 0
    for sheet in mine:
        held = n - planned.rows(sheet)

        def said(
            first: int, sheet: RecordingView = sheet, held: int = held, done: int = done
        ) -> Rows:
            for rows in batches_from(first, n, recording.batch, held):
                raw = recording.say(rows, sheet.view, sheet.columns)
                yield pack(sheet.columns, raw, bases[sheet.group])[rows >= first]
                if progress is not None:
                    progress(done + int(rows[-1]) + 1 - held, every)

        write_record(
            planned.folder / folder_of(sheet.view, sheet.group),
            said,
            recording.examples.ids,
            about(recording, sheet, planned.folder),
            dtype=recording.dtype,
            scales=scales(planned, sheet, bases[sheet.group]),
            shard_rows=shard_rows,
            fit=False,
            before=planned.before(sheet),
        )
        done += planned.rows(sheet)
    wait()
    if rank == 0:
        write_signed(planned.folder / PLACES, manifest.model_dump(mode="json"))
        if planned.folder != planned.out:
            put_in_place(planned.out)
    wait()
    return NetworkRecord.open(planned.out, verify=False)


def find_bases(planned: RecordingPlan) -> None:
    """Fit the principal directions of new columns on a sample of the clean examples.

    Those that rows are kept along already stay; of a record that grows they are taken over.

    Raises:
        DataError: the examples have not so many directions.
    """
    there = {each.group for each in (planned.grown or planned.manifest).bases}
    for group, columns in enumerate(planned.manifest.groups):
        sheet, path = RecordingView(CLEAN, group, columns), planned.folder / basis_of(group)
        if not sheet.projected or (planned.begun(group) and path.is_file()):
            continue
        if planned.grown and group in there:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, partial(shutil.copyfile, planned.out / basis_of(group)))
        elif group not in there:
            save(path, fitted(planned.recording, sheet.projected))


def fitted(recording: RecordingJob, columns: Sequence[Column]) -> dict[str, Basis]:
    """The principal directions of columns, from a sample of the clean examples.

    Memory: O(sample · d).
    """
    n = len(recording.examples)
    rows = np.unique(np.linspace(0, n - 1, min(n, DIRECTIONS)).astype(np.int64))
    parts = np.array_split(rows, -(-len(rows) // recording.batch))
    said = np.concatenate([recording.say(part, CLEAN, columns) for part in parts])
    ends = np.cumsum([each.size for each in columns])
    vectors = np.split(said, ends[:-1], axis=1)
    return {
        each.name: fit(own, each.count, each.name)
        for each, own in zip(columns, vectors, strict=True)
    }


def read_bases(planned: RecordingPlan) -> tuple[list[dict[str, Basis]], NetworkManifest]:
    """The principal directions by group, and what is written with them said in the manifest."""
    bases, said = [], []
    for group, columns in enumerate(planned.manifest.groups):
        path, found = planned.folder / basis_of(group), dict[str, Basis]()
        if RecordingView(CLEAN, group, columns).projected:
            found = load(path, columns)
            explained = {name: round(each.explained, 6) for name, each in found.items()}
            said.append(BasisFile(group=group, checksum=checksum(path), explained=explained))
        bases.append(found)
    return bases, planned.manifest.model_copy(update={"bases": tuple(said)})


def put_in_place(out: Path) -> None:
    """Let the record that was written beside a folder take its place; for a moment there is none.

    Raises:
        RunError: it cannot be moved.
    """
    old = out.with_name(f".{out.name}.old")
    with plain_write_errors(out):
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        beside(out).rename(out)
    shutil.rmtree(old, ignore_errors=True)


def settle(out: Path) -> None:
    """Finish a replacement that was killed in the moment when there was no record."""
    if not out.exists() and (beside(out) / PLACES).is_file():
        put_in_place(out)


def scales(planned: RecordingPlan, sheet: RecordingView, bases: Bases) -> tuple[float, ...] | None:
    """What int8 entries are multiplied by, the same in every view of a group."""
    recording, clean = planned.recording, replace(sheet, view=CLEAN)
    if recording.dtype != "int8":
        return None
    first = planned.before(clean) or planned.folder / folder_of(CLEAN, sheet.group)
    if first.is_dir():
        return read_manifest(first).scales
    n = len(recording.examples)
    rows = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))
    largest = np.zeros(sheet.numbers)
    for view in range(CLEAN, min(recording.count, 2)):
        for part in np.array_split(rows, -(-len(rows) // recording.batch)):
            said = pack(sheet.columns, recording.say(part, view, sheet.columns), bases)
            largest = np.maximum(largest, np.abs(said).max(0))
    whole = np.concatenate([whole_numbers(each) for each in sheet.columns])
    return tuple(1.0 if w else s for w, s in zip(whole, scales_of(largest), strict=True))


def whole_numbers(column: Column) -> npt.NDArray[np.bool_]:
    """`[stored]`: which numbers of a column count something, so that they are kept at scale 1."""
    found = np.zeros(column.stored, bool)
    found[column.count : column.count * (1 + column.digits)] = column.kept == "top"
    return found
