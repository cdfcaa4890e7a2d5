"""Run a network once over examples and their views, and keep what methods read of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.data import Examples, Views, read_batch
from mentee.errors import DataError
from mentee.teachers.record.manifest import Dtype, read_manifest
from mentee.teachers.record.numbers import STORED, scales_of
from mentee.teachers.record.places import (
    PLACES,
    SHEET,
    Column,
    PlacesManifest,
    PlacesRecord,
    folder_of,
    read_places,
)
from mentee.teachers.record.recording import about_data, batches_from
from mentee.teachers.record.signed import write_signed
from mentee.teachers.record.writing import About, check_disk, write_record
from mentee.types import CLEAN, Batch

SAMPLE = 512  # examples that the scales of int8 are measured on

Says: TypeAlias = Callable[[Batch], Mapping[str, Tensor]]
"""What the teacher says of a batch, by column."""


@dataclass(frozen=True)
class Recording:
    """All that is recorded, before anything is.

    Attributes:
        examples: of which.
        views: what makes a view of them.
        how: the same as a recipe says it.
        says: the teacher, as the columns want it.
        columns: what is kept.
        teacher: `name`, `fingerprint`, `network`.
        methods: whose columns they are.
        count: views beside the clean one.
        dtype: of the stored numbers.
        batch: examples that are given to the teacher at once.
    """

    examples: Examples
    views: Views
    how: dict[str, Any]
    says: Says
    columns: tuple[Column, ...]
    teacher: dict[str, Any]
    methods: tuple[str, ...]
    count: int
    dtype: Dtype
    batch: int = 64

    def say(
        self, rows: npt.NDArray[np.int64], view: int, columns: Sequence[Column]
    ) -> npt.NDArray[np.float32]:
        """The columns of some examples, one behind the other: `[b, d]`."""
        batch = read_batch(self.examples, rows, views=self.views, view=view)
        said = self.says(batch)
        parts = [said[each.name].detach().float().cpu().flatten(1) for each in columns]
        whole: npt.NDArray[np.float32] = torch.cat(parts, 1).numpy()
        return whole

    @cached_property
    def data(self) -> dict[str, Any]:
        """Which examples, as a manifest says it: computed once, since it reads all of them."""
        return dict(about_data(self.examples))

    def bytes(self, numbers: int) -> int:
        """The size of the rows of one view."""
        return len(self.examples) * numbers * STORED[self.dtype].itemsize

    def merged(self, there: PlacesManifest | None) -> PlacesManifest:
        """What the folder will hold in the end, with what is there already.

        Raises:
            DataError: what is there is of something else; says what differs.
        """
        groups: tuple[tuple[Column, ...], ...] = (self.columns,)
        count, methods = self.count, self.methods
        if there is not None:
            self._refuse_other(there)
            held = {each.name for each in there.columns}
            new = tuple(each for each in self.columns if each.name not in held)
            groups = (*there.groups, new) if new else there.groups
            count = max(count, there.count)
            methods = tuple(dict.fromkeys([*there.methods, *methods]))
        return PlacesManifest(
            name=str(self.teacher["name"]),
            kind=self.examples.kind,
            rows=len(self.examples),
            dtype=self.dtype,
            teacher=self.teacher if there is None else there.teacher,
            data=self.data if there is None else there.data,
            views=self.how,
            methods=methods,
            count=count,
            groups=groups,
        )

    def _refuse_other(self, there: PlacesManifest) -> None:
        pairs = {
            "teacher's weights": (there.teacher["fingerprint"], self.teacher["fingerprint"]),
            "examples": (there.data["fingerprint"], self.data["fingerprint"]),
            "views": (there.views, self.how),
            "dtype": (there.dtype, self.dtype),
        }
        other = [f"{what}: {was} there, {now} here" for what, (was, now) in pairs.items()]
        other = [text for text, (was, now) in zip(other, pairs.values(), strict=True) if was != now]
        if other:
            raise DataError(
                f"the record there cannot be extended, it is of something else: {'; '.join(other)}."
                " Choose another folder, or say that it is to be overwritten (--overwrite)"
            )


@dataclass(frozen=True)
class Sheet:
    """One view of one group of columns: a record of its own.

    Attributes:
        view: its number, or `CLEAN`.
        group: number of the group.
        columns: of the group.
    """

    view: int
    group: int
    columns: tuple[Column, ...]

    @property
    def numbers(self) -> int:
        """How many are kept of one example."""
        return sum(each.size for each in self.columns)


def sheets_of(manifest: PlacesManifest) -> list[Sheet]:
    """All records of a folder, the clean ones first."""
    return [
        Sheet(view, group, columns)
        for view in range(CLEAN, manifest.count)
        for group, columns in enumerate(manifest.groups)
    ]


def missing(out: Path, planned: PlacesManifest) -> list[Sheet]:
    """Those that are not there yet."""
    return [s for s in sheets_of(planned) if not (out / folder_of(s.view, s.group)).is_dir()]


def plan(out: Path, recording: Recording) -> PlacesManifest:
    """What the folder will hold in the end.

    Raises:
        DataError: something else is there.
        RunError: the disk is too small for what is missing.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; choose another folder")
    there = read_places(out) if (out / PLACES).is_file() else None
    strange = [e.name for e in out.glob("[!.]*") if not SHEET.fullmatch(e.name)]
    if there is None and strange:
        raise DataError(
            f"{out} is there and is no record (it has {strange[0]}); choose another folder"
        )
    planned = recording.merged(there)
    check_disk(sum(recording.bytes(s.numbers) for s in missing(out, planned)), out)
    return planned


def record_places(
    out: Path,
    recording: Recording,
    *,
    rank: int = 0,
    world: int = 1,
    wait: Callable[[], object] = lambda: None,
    shard_rows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PlacesRecord:
    """Write what is missing of a record of places; what is there already is not done again.

    Each view is a record of its own and whole or not there. Several processes share the views. The
    folder counts as a record once all are there; an earlier one stays in use until then.

    Args:
        out: the folder.
        recording: what is recorded.
        rank: of this process.
        world: how many processes there are.
        wait: returns when all processes are there.
        shard_rows: as for `record`.
        progress: called after each batch with the examples done by this process and those it does.

    Returns:
        The record, opened.

    Raises:
        DataError: something else is there, or a number is not finite or too large for `dtype`.
        RunError: the disk is too small, or writing is not allowed.
    """
    planned = plan(out, recording)
    wait()  # all have seen the same folder
    mine = missing(out, planned)[rank::world]
    n, examples = len(recording.examples), recording.examples
    for number, sheet in enumerate(mine):

        def said(first: int, sheet: Sheet = sheet, done: int = number * n) -> Iterator[Any]:
            for rows in batches_from(first, n, recording.batch):
                yield recording.say(rows, sheet.view, sheet.columns)[rows >= first]
                if progress is not None:
                    progress(done + int(rows[-1]) + 1, n * len(mine))

        write_record(
            out / folder_of(sheet.view, sheet.group),
            said,
            examples.ids,
            about(recording, sheet),
            dtype=recording.dtype,
            scales=scales(out, recording, sheet),
            shard_rows=shard_rows,
            fit=False,
        )
    wait()
    for sheet in sheets_of(planned):
        there = read_manifest(out / folder_of(sheet.view, sheet.group)).teacher
        if there != about(recording, sheet).teacher:
            raise DataError(
                f"{out / folder_of(sheet.view, sheet.group)} is of an interrupted recording of "
                "another teacher or other places; choose another folder, or say that it is to be "
                "overwritten (--overwrite)"
            )
    if rank == 0:
        write_signed(out / PLACES, planned.model_dump(mode="json"))
    wait()
    return PlacesRecord.open(out, verify=False)


def about(recording: Recording, sheet: Sheet) -> About:
    """What the record of one view says of itself."""
    columns = [each.model_dump(mode="json") for each in sheet.columns]
    said = {k: recording.teacher[k] for k in ("name", "fingerprint")}
    return About(
        name=str(said["name"]),
        kind=recording.examples.kind,
        teacher=said | {"columns": columns, "views": recording.how},
        data=recording.data,
        view="clean" if sheet.view == CLEAN else f"view {sheet.view}",
    )


def scales(out: Path, recording: Recording, sheet: Sheet) -> tuple[float, ...] | None:
    """What int8 entries are multiplied by, the same in every view of a group."""
    if recording.dtype != "int8":
        return None
    first = out / folder_of(CLEAN, sheet.group)
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
