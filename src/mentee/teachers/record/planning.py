"""What is going to be recorded of a network, and what of it is there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.data import Examples, Views, read_batch
from mentee.errors import DataError
from mentee.teachers.record.growing import ANEW, Ordered, about_data, differing, ordered
from mentee.teachers.record.integrity import read_ids
from mentee.teachers.record.manifest import Dtype, read_manifest
from mentee.teachers.record.numbers import STORED
from mentee.teachers.record.places import (
    PLACES,
    SHEET,
    Column,
    PlacesManifest,
    folder_of,
    read_places,
)
from mentee.teachers.record.shards import check_disk
from mentee.teachers.record.writing import About
from mentee.types import CLEAN, Batch

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
        whole: the split that the examples are from; None: they are all.
        rows: the examples in the order of a record that is there; None: there is none.
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
    whole: Examples | None = None
    rows: Ordered | None = None

    def following(self, out: Path) -> Recording:
        """The same with its examples in the order of a record's rows, the new ones behind.

        Raises:
            DataError: a row is of no example any more, or examples that have one were changed.
        """
        clean = out / folder_of(CLEAN, 0)
        ids, data = read_ids(clean, read_manifest(clean)), read_places(out).data
        rows = ordered(ids, data, self.examples, self.whole or self.examples)
        return replace(self, examples=rows.examples, rows=rows)

    @property
    def held(self) -> int:
        """How many rows there are already, where there are new ones to be added; else 0."""
        return self.rows.held if self.rows and self.rows.new else 0

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
        """Which examples, as a manifest says it: computed once, since it reads many of them."""
        return self.rows.data if self.rows else dict(about_data(self.examples))

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
            data=self.data if there is None or self.held else there.data,
            views=self.how,
            methods=methods,
            count=count,
            groups=groups,
        )

    def _refuse_other(self, there: PlacesManifest) -> None:
        pairs = {
            "teacher's weights": (there.teacher["fingerprint"], self.teacher["fingerprint"]),
            "views": (there.views, self.how),
            "dtype": (there.dtype, self.dtype),
        }
        if not self.held:
            pairs["examples"] = (there.data["fingerprint"], self.data["fingerprint"])
        other = differing(pairs)
        if other:
            raise DataError(
                f"the record there cannot be extended, it is of something else: {other}. {ANEW}"
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


@dataclass(frozen=True)
class Planned:
    """What is going to be written, and where.

    Attributes:
        out: the record.
        folder: where it is written: `out`, or beside it until it is whole.
        recording: of what.
        manifest: what the record will say of itself.
        sheets: those that are not there yet.
        stale: what is in `folder` is of something else and in the way.
        grown: what the record said of itself before examples came; None: none did.
    """

    out: Path
    folder: Path
    recording: Recording
    manifest: PlacesManifest
    sheets: tuple[Sheet, ...]
    stale: bool = False
    grown: PlacesManifest | None = None

    def before(self, sheet: Sheet) -> Path | None:
        """The record of the first rows of a sheet, where there is one."""
        if self.grown is None or sheet not in sheets_of(self.grown):
            return None
        return self.out / folder_of(sheet.view, sheet.group)

    def rows(self, sheet: Sheet) -> int:
        """How many rows of it are to be written."""
        held = self.recording.held if self.before(sheet) else 0
        return len(self.recording.examples) - held

    @property
    def bytes(self) -> int:
        """The size of the rows that are to be written."""
        numbers = sum(self.rows(each) * each.numbers for each in self.sheets)
        return numbers * STORED[self.recording.dtype].itemsize


def plan(out: Path, recording: Recording, *, overwrite: bool = False) -> Planned:
    """What the folder will hold in the end, and what of it is missing.

    Args:
        out: the folder.
        recording: what is recorded.
        overwrite: put it in the place of what was recorded there, whole or not.

    Raises:
        DataError: something else is there.
        RunError: the disk is too small for what is missing.
    """
    names = names_in(out)
    there = read_places(out) if PLACES in names and not overwrite else None
    recording = recording if there is None else recording.following(out)
    grown = there if recording.held else None
    anew = (overwrite and bool(names)) or grown is not None
    manifest, folder, stale = recording.merged(there), beside(out) if anew else out, False
    try:
        refuse_mixture(folder, recording, manifest)
    except DataError:
        if not anew:
            raise
        stale = True
    sheets = tuple(
        s
        for s in sheets_of(manifest)
        if stale or not (folder / folder_of(s.view, s.group)).is_dir()
    )
    planned = Planned(out, folder, recording, manifest, sheets, stale, grown)
    check_disk(planned.bytes, out)
    return planned


def names_in(out: Path) -> list[str]:
    """What is in the folder of a record of places, hidden files left out.

    Raises:
        DataError: something that is no part of one.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; choose another folder")
    names = sorted(each.name for each in out.glob("[!.]*"))
    strange = [name for name in names if name != PLACES and not SHEET.fullmatch(name)]
    if strange:
        raise DataError(
            f"{out} is there and is no record (it has {strange[0]}); choose another folder"
        )
    return names


def beside(out: Path) -> Path:
    """Where a record is written that is to replace another one."""
    return out.with_name(f".{out.name}.anew")


def refuse_mixture(folder: Path, recording: Recording, manifest: PlacesManifest) -> None:
    """Make sure that what an interrupted recording left can be gone on with.

    Raises:
        DataError: it is of something else; says what differs.
    """
    for sheet in sheets_of(manifest):
        path = folder / folder_of(sheet.view, sheet.group)
        if not path.is_dir():
            continue
        there, mine = read_manifest(path), about(recording, sheet)
        pairs = {
            f"teacher's {key}": (there.teacher.get(key), mine.teacher.get(key))
            for key in there.teacher | mine.teacher
        } | {
            "examples": (there.data["fingerprint"], mine.data["fingerprint"]),
            "dtype": (there.dtype, recording.dtype),
        }
        other = differing(pairs)
        if other:
            raise DataError(
                f"{path} was left by an interrupted recording, which this one cannot go on with: "
                f"{other}. Record as it was begun, choose another folder, or say that it is to be "
                "overwritten (--overwrite)"
            )


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
