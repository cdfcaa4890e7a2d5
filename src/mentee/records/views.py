"""What is recorded of a network: all of it, and sheet by sheet."""

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
from mentee.records.columns import Column
from mentee.records.embedding_writer import About
from mentee.records.growing import Ordered, about_data, ordered, refuse_other
from mentee.records.integrity import read_ids
from mentee.records.manifest import Dtype, checksum, read_manifest
from mentee.records.network_manifest import (
    NetworkManifest,
    basis_of,
    folder_of,
    read_network_manifest,
)
from mentee.types import CLEAN, Batch

Says: TypeAlias = Callable[[Batch, Sequence[str]], Mapping[str, Tensor]]
"""What the teacher says of a batch in some columns, and nothing else is computed."""


@dataclass(frozen=True)
class RecordingJob:
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

    def following(self, out: Path) -> RecordingJob:
        """The same with its examples in the order of a record's rows, the new ones behind.

        Raises:
            DataError: a row is of no example any more, or examples that have one were changed.
        """
        clean = out / folder_of(CLEAN, 0)
        ids, data = read_ids(clean, read_manifest(clean)), read_network_manifest(out).data
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
        said = self.says(batch, [each.name for each in columns])
        parts = [said[each.name].detach().float().cpu().flatten(1) for each in columns]
        whole: npt.NDArray[np.float32] = torch.cat(parts, 1).numpy()
        return whole

    @cached_property
    def data(self) -> dict[str, Any]:
        """Which examples, as a manifest says it: computed once, since it reads many of them."""
        return self.rows.data if self.rows else dict(about_data(self.examples))

    def merged(self, there: NetworkManifest | None) -> NetworkManifest:
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
        return NetworkManifest(
            name=str(self.teacher["name"]),
            kind=self.examples.kind,
            rows=len(self.examples),
            dtype=self.dtype,
            teacher=dict(self.teacher) | ({} if there is None else dict(there.teacher)),
            data=self.data if there is None or self.held else there.data,
            views=self.how,
            methods=methods,
            count=count,
            groups=groups,
            bases=() if there is None else there.bases,
        )

    def _refuse_other(self, there: NetworkManifest) -> None:
        pairs = {
            "teacher's weights": (there.teacher["fingerprint"], self.teacher["fingerprint"]),
            "views": (there.views, self.how),
            "dtype": (there.dtype, self.dtype),
        }
        kept = {each.name: each for each in there.columns}
        for each in self.columns:
            was = kept.get(each.name, each)
            if each.kept != "whole" and was != each:
                pairs[each.name] = (was.form, each.form)
        if not self.held:
            pairs["examples"] = (there.data["fingerprint"], self.data["fingerprint"])
        refuse_other(pairs)


@dataclass(frozen=True)
class RecordingView:
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
    def projected(self) -> tuple[Column, ...]:
        """Those that are kept in principal components."""
        return tuple(each for each in self.columns if each.kept == "pca")

    @property
    def numbers(self) -> int:
        """How many are kept of one example."""
        return sum(each.stored for each in self.columns)


def sheets_of(manifest: NetworkManifest) -> list[RecordingView]:
    """All records of a folder, the clean ones first."""
    return [
        RecordingView(view, group, columns)
        for view in range(CLEAN, manifest.count)
        for group, columns in enumerate(manifest.groups)
    ]


def about(recording: RecordingJob, sheet: RecordingView, folder: Path) -> About:
    """What the record of one view says of itself, in the folder of all."""
    said = {k: recording.teacher[k] for k in ("name", "fingerprint")}
    columns = [each.said() for each in sheet.columns]
    basis = folder / basis_of(sheet.group)
    if sheet.projected:
        said["basis"] = checksum(basis) if basis.is_file() else None
    return About(
        name=str(said["name"]),
        kind=recording.examples.kind,
        teacher=said | {"columns": columns, "views": recording.how},
        data=recording.data,
        view="clean" if sheet.view == CLEAN else f"view {sheet.view}",
    )
