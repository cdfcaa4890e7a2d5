"""What is going to be recorded, what of it is there already, and what is missing."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mentee.data import Examples
from mentee.errors import DataError
from mentee.records.codecs import STORED, Floats
from mentee.records.columns import Column, Dtype
from mentee.records.folders import PLAN, partial_folder, refuse_others
from mentee.records.integrity import read_ids
from mentee.records.manifest import Group, Manifest, Part, checksum, ids_text, read_manifest
from mentee.records.matching import (
    ADVICE,
    OrderedExamples,
    describe_data,
    differences,
    order_examples,
)
from mentee.records.shards import SHARD_BYTES, check_disk, rows_in
from mentee.urls import Url

Read: TypeAlias = Callable[[Examples, npt.NDArray[np.int64], int, Sequence[Column]], Floats]
"""What a teacher computes of some rows of examples in a view: the columns one behind the other,
`[b, d]`. Nothing else is computed."""


@dataclass(frozen=True)
class RecordingJob:
    """All that is recorded, before anything is.

    Attributes:
        examples: of which.
        read: the teacher, as the columns want it.
        columns: what is stored.
        teacher: as `Manifest.teacher`.
        dtype: of the stored numbers.
        batch: examples that are read at once.
        views: how views are made of an example, as a recipe has it; empty: there are none.
        count: views beside the clean one.
        methods: whose columns they are.
        statistics: fit those of an embedder's vectors, O(d²).
        whole: the split that the examples are from; None: they are all.
        ordered: the examples in the order of a record that is there; None: there is none.
    """

    examples: Examples
    read: Read
    columns: tuple[Column, ...]
    teacher: dict[str, Any]
    dtype: Dtype
    batch: int = 64
    views: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    methods: tuple[str, ...] = ()
    statistics: bool = True
    whole: Examples | None = None
    ordered: OrderedExamples | None = None

    def following(self, out: Path | Url, base: Manifest) -> RecordingJob:
        """The same with its examples in the order of a record's rows, the new ones behind.

        Raises:
            DataError: a row is of no example any more, or examples that have one were changed.
        """
        whole = self.whole or self.examples
        ordered = order_examples(read_ids(out, base), base.data, self.examples, whole)
        return replace(self, examples=ordered.examples, ordered=ordered)

    @property
    def grows(self) -> bool:
        """Whether rows of new examples are added to those that are there."""
        return self.ordered is not None and self.ordered.new > 0

    def numbers(self, rows: npt.NDArray[np.int64], view: int, columns: Sequence[Column]) -> Floats:
        """What the teacher computes of some examples, `[b, d]`."""
        return self.read(self.examples, rows, view, columns)

    @cached_property
    def data(self) -> dict[str, Any]:
        """Which examples, as a manifest has it: computed once, since it reads many of them."""
        return self.ordered.data if self.ordered else describe_data(self.examples)

    def merged(self, base: Manifest | None) -> Manifest:
        """The manifest of the whole record, with what is there already.

        Raises:
            DataError: what is there is of something else; tells what differs.
        """
        groups: tuple[Group, ...] = (Group(columns=self.columns),)
        count, methods, teacher = self.count, self.methods, dict(self.teacher)
        if base is not None:
            if other := self.differences_from(base):
                raise DataError(
                    "the record there cannot be extended, it is of something else: "
                    f"{other}. {ADVICE}"
                )
            recorded = {each.name for each in base.columns}
            new = tuple(each for each in self.columns if each.name not in recorded)
            groups = (*base.groups, Group(columns=new)) if new else base.groups
            count = max(count, base.count)
            methods = tuple(dict.fromkeys([*base.methods, *methods]))
            teacher |= base.teacher
        return Manifest(
            mentee=version("mentee"),
            name=str(self.teacher["name"]),
            kind=self.examples.kind,
            rows=len(self.examples),
            dtype=self.dtype,
            teacher=teacher,
            data=self.data if base is None or self.grows else base.data,
            ids=checksum(ids_text(self.examples.ids)),
            views=self.views,
            count=count,
            methods=methods,
            groups=groups,
        )

    def differences_from(self, base: Manifest) -> str:
        """What a record is of that this is not, in words; empty: nothing."""
        pairs: dict[str, Any] = teachers_of(base.teacher, self.teacher)
        pairs |= {
            "views": (base.views, self.views),
            "seconds": (base.data.get("seconds"), self.data.get("seconds")),
            "dtype": (base.dtype, self.dtype),
        }
        recorded = {each.name: each for each in base.columns}
        if base.network is None:
            pairs["layers"] = tuple(
                ", ".join(f"{each.name} {list(each.shape)}" for each in columns)
                for columns in (base.columns, self.columns)
            )
        for each in self.columns:
            was = recorded.get(each.name, each)
            if each.form != "whole" and was != each:
                pairs[each.name] = (str(was), str(each))
        if not self.grows:
            pairs["examples"] = (base.data["fingerprint"], self.data["fingerprint"])
        return differences(pairs)


def teachers_of(there: dict[str, Any], here: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What makes two teachers different, in pairs; names and paths do not."""
    keys = ("fingerprint", "contract", "checksum", "read")
    plain = json.loads(json.dumps(here))  # as it is read again: tuples are lists
    pairs = {f"teacher's {key}": (there.get(key), plain.get(key)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair != (None, None)}


@dataclass(frozen=True)
class RecordingPlan:
    """What is going to be written to `out`, of a job.

    Attributes:
        manifest: of the whole record, without shards.
        base: the manifest of the record that is extended; None: there is none, or it is replaced.
        parts: those that are not whole yet where they are written.
        stale: what an interrupted process left, if any, is of something else and is removed.
        idle: the record that is there has all rows; at most the names of methods are new.
    """

    out: Path | Url
    job: RecordingJob
    manifest: Manifest
    base: Manifest | None
    parts: tuple[Part, ...]
    stale: bool = False
    idle: bool = False

    @property
    def folder(self) -> Path | Url:
        """Where it is written until it is whole."""
        return partial_folder(self.out)

    def part_there(self, part: Part) -> Part | None:
        """The part of the record that is extended, where it has it."""
        parts = {each.folder: each for each in self.base.parts} if self.base else {}
        return parts.get(part.folder)

    def rows(self, part: Part) -> int:
        """How many rows of a part are to be computed."""
        there = self.part_there(part)
        return self.manifest.rows - (there.rows if there else 0)

    @property
    def computed(self) -> tuple[Part, ...]:
        """The parts with rows that are to be computed."""
        return tuple(each for each in self.parts if self.rows(each))

    @property
    def bytes(self) -> int:
        """The size of the rows that are to be computed."""
        numbers = sum(self.rows(each) * self.manifest.numbers(each.group) for each in self.parts)
        return numbers * STORED[self.manifest.dtype].itemsize

    @property
    def identity(self) -> dict[str, Any]:
        """What tells whether an interrupted process wrote the same, JSON-able."""
        plan = self.manifest
        content = {
            "teacher": {k: v for k, v in plan.teacher.items() if k != "network"},
            "views": plan.views,
            "columns": [[c.model_dump(mode="json") for c in g.columns] for g in plan.groups],
            "examples": [plan.data["fingerprint"], plan.ids],
            "dtype": plan.dtype,
            "extends": self.base and self.base.ids,
        }
        return dict(json.loads(json.dumps(content)))


def plan_recording(
    out: Path | Url, job: RecordingJob, *, overwrite: bool = False, extend: bool = True
) -> RecordingPlan:
    """What a record will hold in the end, and what of it is missing.

    With `overwrite` the record that is there, and what an interrupted process left, is replaced;
    with `extend` it gets what it has not; else it is refused.

    Raises:
        DataError: something else is there.
        RunError: the disk is too small for what is missing.
    """
    there = refuse_others(out, overwrite=overwrite or extend)
    base = read_manifest(out) if there and not overwrite else None
    job = job if base is None else job.following(out, base)
    manifest = job.merged(base)
    parts = tuple(manifest.all_parts())
    planned = RecordingPlan(out, job, manifest, base, parts)
    if base is not None and not planned.computed:
        return replace(planned, parts=(), idle=True)
    if base is not None and isinstance(out, Url):
        raise DataError(
            f"{out} is a whole record, and in object storage none grows: copy it to a folder, "
            "record there, and copy it back; or choose another URL, or replace it (--overwrite)"
        )
    identity, _ = interrupted(planned.folder)
    other = "" if identity is None else _other(identity, planned.identity)
    if other and not overwrite:
        raise DataError(
            f"{planned.folder} was left by an interrupted recording, which this one cannot resume: "
            f"{other}. Record as it was begun, choose another folder, or replace it (--overwrite)"
        )
    stale = bool(other) or identity is None
    if not stale:
        folder, n = planned.folder, manifest.rows
        parts = tuple(each for each in parts if rows_in(folder / each.folder) != n)
    planned = replace(planned, parts=parts, stale=stale)
    if isinstance(out, Url):  # one file after the other lies on this machine
        check_disk(min(planned.bytes, SHARD_BYTES), Path(tempfile.gettempdir()))
    else:
        check_disk(planned.bytes, out)
    return planned


def _other(there: dict[str, Any], here: dict[str, Any]) -> str:
    """What differs between what an interrupted process was to write and what is to be written."""
    pairs = {key: (there.get(key), value) for key, value in here.items() if key != "teacher"}
    return differences(teachers_of(there["teacher"], here["teacher"]) | pairs)


def interrupted(folder: Path | Url) -> tuple[dict[str, Any] | None, tuple[Group, ...]]:
    """What an interrupted process was to write, and its groups; None where it cannot be told."""
    try:
        content = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        groups = tuple(map(Group.model_validate, content["groups"]))
        identity = dict(content["identity"])
        return {**identity, "teacher": dict(identity["teacher"])}, groups
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # pydantic's is a ValueError
        return None, ()


def rounds(
    first: int, total: int, batch: int, held: int = 0, processes: int = 1
) -> Iterator[list[npt.NDArray[np.int64]]]:
    """From a row on, as many batches at a time as there are processes, each of which computes one.

    A row's last bits depend on the batch that it was computed in, so a resumed recording cuts the
    same batches; they begin behind the `held` rows that were there before.

    Example:
        >>> [[rows.tolist() for rows in some] for some in rounds(4, 7, batch=3)]
        [[[3, 4, 5]], [[6]]]
        >>> [[rows.tolist() for rows in some] for some in rounds(4, 7, 3, held=2, processes=2)]
        [[[2, 3, 4], [5, 6]]]
    """
    starts = range(held + (first - held) // batch * batch, total, batch)
    batches = (np.arange(start, min(start + batch, total)) for start in starts)
    while some := list(itertools.islice(batches, processes)):
        yield some
