"""Several records of one teacher as one: of the labeled split, and of the unlabeled one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mentee.data import Examples, nfc
from mentee.errors import DataError
from mentee.files import located
from mentee.records.integrity import read_ids
from mentee.records.manifest import MANIFEST, checksum, read_manifest
from mentee.records.plan import teachers_of
from mentee.records.reader import Positions, Record, open_record
from mentee.records.stored_rows import MappedRows
from mentee.types import CLEAN, Statistics
from mentee.urls import Url


class JoinedRecord(Record):
    """The rows of several records, one behind the other; an id in two of them is the first's.

    Raises:
        DataError: they are of several teachers, or have other columns.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        first, *others = records
        ids = tuple(text for each in records for text in each.ids)
        super().__init__(first.folder, first.manifest, ids, first.bases)
        self.records = tuple(records)
        sizes = [len(each) for each in records]
        self._ends = np.cumsum(sizes)
        for each in others:
            teachers = teachers_of(first.manifest.teacher, each.manifest.teacher)
            teachers.pop("teacher's checksum", None)  # each split may have a file of its own
            teachers.pop("teacher's read", None)
            if each.columns != first.columns or any(a != b for a, b in teachers.values()):
                raise DataError(
                    f"{first.folder} and {each.folder} are records of different teachers, and the "
                    "examples have rows in both; record the examples with one teacher"
                )

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """`[n]`, as of one record; an id may be there twice."""
        return np.concatenate([each.keys for each in self.records])

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"records": self.records, "_ends": self._ends}

    def read(
        self, positions: Positions, view: int = CLEAN, names: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """As of one record."""
        index = np.asarray(positions, np.int64).reshape(-1)
        number = np.searchsorted(self._ends, index, side="right").clip(max=len(self.records) - 1)
        features: dict[str, Tensor] = {}
        for n in np.unique(number).tolist() or [0]:
            here, record = np.flatnonzero(number == n), self.records[n]
            own = index[here] - (self._ends[n] - len(record))
            for name, rows in record.read(own, view, names).items():
                features.setdefault(name, rows.new_empty(len(index), *rows.shape[1:]))[here] = rows
        return features

    def of_views(self, views: Iterable[int]) -> list[MappedRows]:
        """The rows of some views, of all records."""
        chosen = tuple(views)
        return [part for each in self.records for part in each.of_views(chosen)]

    def check(self, *candidates: Examples) -> None:
        """Make sure that each record is of those of the examples that it is read for."""
        examples = candidates[-1]
        rows = self.positions(examples.keys, examples.ids)
        number = np.searchsorted(self._ends, rows, side="right")
        for n, record in enumerate(self.records):
            if len(own := np.flatnonzero(number == n)):
                record.check(examples.take(own))

    def fingerprint(self) -> str:
        """Of all records."""
        return checksum(" ".join(each.fingerprint() for each in self.records))

    @cached_property
    def statistics(self) -> Statistics:
        """Of all vectors."""
        return self.fit(range(len(self)), self.vector)


def open_record_of(path: Path | Url | str, split: str, examples: Examples) -> Record:
    """The record of a split, with those beside it that have the rows of other examples.

    They are in the subfolders of `path`, at most two down.

    Raises:
        DataError: there is none of this split, or a file is damaged.
    """
    record, folder = open_record(path, split), located(path)
    missing, records = set(nfc(examples.ids)) - set(nfc(record.ids)), [record]
    others = sorted([*folder.glob(f"[!.]*/{MANIFEST}"), *folder.glob(f"[!.]*/[!.]*/{MANIFEST}")])
    for other in (each.parent for each in others if each.parent != record.folder):
        if missing and not missing.isdisjoint(nfc(read_ids(other, read_manifest(other)))):
            records.append(Record.open(other))
            missing -= set(nfc(records[-1].ids))
    return record if len(records) == 1 else JoinedRecord(records)
