"""Run a network once over examples and their views, and keep what methods read of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mentee.files import said_plainly
from mentee.teachers.record.manifest import read_manifest
from mentee.teachers.record.numbers import scales_of
from mentee.teachers.record.places import PLACES, PlacesRecord, folder_of
from mentee.teachers.record.planning import Planned, Recording, Sheet, about, beside, plan
from mentee.teachers.record.recording import batches_from
from mentee.teachers.record.signed import write_signed
from mentee.teachers.record.writing import write_record
from mentee.types import CLEAN

Rows: TypeAlias = Iterator[npt.NDArray[np.float32]]

SAMPLE = 512  # examples that the scales of int8 are measured on


def record_places(
    out: Path, recording: Recording, *, overwrite: bool = False, **how: Any
) -> PlacesRecord:
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
    planned: Planned,
    *,
    rank: int = 0,
    world: int = 1,
    wait: Callable[[], object] = lambda: None,
    shard_rows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PlacesRecord:
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
    recording, mine = planned.recording, planned.sheets[rank::world]
    n, every, done = len(recording.examples), sum(map(planned.rows, mine)), 0
    for sheet in mine:
        held = n - planned.rows(sheet)

        def said(first: int, sheet: Sheet = sheet, held: int = held, done: int = done) -> Rows:
            for rows in batches_from(first, n, recording.batch, held):
                yield recording.say(rows, sheet.view, sheet.columns)[rows >= first]
                if progress is not None:
                    progress(done + int(rows[-1]) + 1 - held, every)

        write_record(
            planned.folder / folder_of(sheet.view, sheet.group),
            said,
            recording.examples.ids,
            about(recording, sheet),
            dtype=recording.dtype,
            scales=scales(planned, sheet),
            shard_rows=shard_rows,
            fit=False,
            before=planned.before(sheet),
        )
        done += planned.rows(sheet)
    wait()
    if rank == 0:
        write_signed(planned.folder / PLACES, planned.manifest.model_dump(mode="json"))
        if planned.folder != planned.out:
            put_in_place(planned.out)
    wait()
    return PlacesRecord.open(planned.out, verify=False)


def put_in_place(out: Path) -> None:
    """Let the record that was written beside a folder take its place; for a moment there is none.

    Raises:
        RunError: it cannot be moved.
    """
    old = out.with_name(f".{out.name}.old")
    with said_plainly(out):
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        beside(out).rename(out)
    shutil.rmtree(old, ignore_errors=True)


def settle(out: Path) -> None:
    """Finish a replacement that was killed in the moment when there was no record."""
    if not out.exists() and (beside(out) / PLACES).is_file():
        put_in_place(out)


def scales(planned: Planned, sheet: Sheet) -> tuple[float, ...] | None:
    """What int8 entries are multiplied by, the same in every view of a group."""
    recording, clean = planned.recording, replace(sheet, view=CLEAN)
    if recording.dtype != "int8":
        return None
    first = planned.before(clean) or planned.folder / folder_of(CLEAN, sheet.group)
    if first.is_dir():
        return read_manifest(first).scales
    n = len(recording.examples)
    rows = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))
    largest = np.zeros(sum(each.size for each in sheet.columns))
    for view in range(CLEAN, min(recording.count, 2)):
        for part in np.array_split(rows, -(-len(rows) // recording.batch)):
            said = np.abs(recording.say(part, view, sheet.columns)).max(0)
            largest = np.maximum(largest, said)
    return scales_of(largest)
