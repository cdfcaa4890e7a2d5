"""A record of what methods read at the places of a network: clean, and in views.

A folder with one record for each view (`clean`, `view-000`, ...), whose rows hold the columns one
behind the other, and a manifest over them. Places that were added later have records of their own
(`clean+1`, `view-000+1`, ...).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from mentee.data import Examples
from mentee.data.contents import Kind
from mentee.errors import DataError, suggest
from mentee.teachers.record.checking import check_fits
from mentee.teachers.record.manifest import Dtype
from mentee.teachers.record.reading import Positions, Record
from mentee.teachers.record.signed import check, read_signed
from mentee.types import CLEAN, column, together

PLACES = "places.json"
FORMAT = 1
SHEET = re.compile(r"(clean|view-\d{3,})(\+\d+)?")
"""The names of the subfolders."""


class Column(BaseModel):
    """What is kept of a place: the fixed part of the representations that share a reduction.

    Attributes:
        place: where the network was read.
        reduction: what was made of it; empty: nothing.
        shape: of what is kept, of one example.
        read: of what was read at the place, of one example; of each of several together.
    """

    model_config = ConfigDict(frozen=True)

    place: str
    reduction: str
    shape: tuple[int, ...]
    read: tuple[int, ...] | tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """What it is called in `Features`."""
        return column(self.place, self.reduction)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What was read at each of its places."""
        names = together(self.place)
        read = self.read if len(names) > 1 else (self.read,)
        return dict(zip(names, read, strict=True))  # type: ignore[arg-type]

    @property
    def size(self) -> int:
        """How many numbers of one example."""
        return math.prod(self.shape)


class PlacesManifest(BaseModel):
    """All that is known of the whole folder.

    Attributes:
        format: version of its layout.
        name: of the teacher.
        kind: what the examples are.
        rows: how many examples.
        dtype: of the stored numbers.
        teacher: `network`, as a recipe names it, and `fingerprint` of its weights and input.
        data: name of the examples, their fingerprint without labels, and how many there are.
        views: how views are made of an example, as a recipe says it.
        methods: whose columns they are.
        count: how many views there are beside the clean one.
        groups: the columns of the records `clean`, of `clean+1`, ...
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    name: str
    kind: Kind
    rows: int = Field(gt=0)
    dtype: Dtype
    teacher: dict[str, Any]
    data: dict[str, Any]
    views: dict[str, Any]
    methods: tuple[str, ...]
    count: int = Field(ge=0)
    groups: tuple[tuple[Column, ...], ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, of the first group first."""
        return tuple(itertools.chain(*self.groups))

    @property
    def numbers(self) -> int:
        """How many numbers are kept of one view of one example."""
        return sum(each.size for each in self.columns)


def folder_of(view: int, group: int) -> str:
    """The subfolder of a view's record.

    Example:
        >>> folder_of(CLEAN, 0), folder_of(3, 1)
        ('clean', 'view-003+1')
    """
    return ("clean" if view == CLEAN else f"view-{view:03d}") + (f"+{group}" if group else "")


def read_places(folder: Path) -> PlacesManifest:
    """Read and check `places.json`.

    Raises:
        DataError: there is none, it is damaged, or another version of mentee wrote it.
    """
    path = folder / PLACES
    if not path.is_file():
        raise DataError(
            f"{folder} is no whole record of places: it has no {PLACES}; write one, or go on with "
            "one that was interrupted, with `mentee record RECIPE --out ...`"
        )
    try:
        said = read_signed(path)
        if said.get("format") == FORMAT:
            return PlacesManifest.model_validate(check(path, said))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); record anew, or copy it again") from error
    raise DataError(
        f"{path} has format {said.get('format')}, this version of mentee reads format {FORMAT}; "
        "use the version that wrote it, or record anew"
    )


class PlacesRecord:
    """What a network said of each example at its places, clean and in views.

    Use `PlacesRecord.open`.

    Args:
        folder: where it lies.
        manifest: what it says of itself.
        records: by (view, group).
    """

    def __init__(
        self, folder: Path, manifest: PlacesManifest, records: dict[tuple[int, int], Record]
    ) -> None:
        self.folder, self.manifest, self.records = folder, manifest, records

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True) -> PlacesRecord:
        """Open the record in a folder.

        Args:
            path: the folder.
            verify: compare each file with its checksum, not only its size.

        Raises:
            DataError: there is none, it is not whole, or a file is damaged: which.
        """
        folder = Path(path)
        manifest = read_places(folder)
        records = {
            (view, group): Record.open(folder / folder_of(view, group), verify=verify)
            for view in range(CLEAN, manifest.count)
            for group in range(len(manifest.groups))
        }
        for (view, group), record in records.items():
            expected = sum(each.size for each in manifest.groups[group])
            if (len(record), record.width) != (manifest.rows, expected):
                raise DataError(
                    f"{record.folder} holds {len(record)} rows of {record.width} numbers, "
                    f"{PLACES} says {manifest.rows} of {expected} (view {view}); record anew"
                )
        return cls(folder, manifest, records)

    def __len__(self) -> int:
        return self.manifest.rows

    def __repr__(self) -> str:
        return (
            f"PlacesRecord({self.manifest.name!r}, {len(self)} examples, {self.manifest.count} "
            f"views, {str(self.folder)!r})"
        )

    @property
    def views(self) -> int:
        """How many views there are beside the clean one."""
        return self.manifest.count

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is kept."""
        return self.manifest.columns

    def read(self, positions: Positions, view: int) -> dict[str, Tensor]:
        """Some rows of one view.

        Args:
            positions: `[b]` row numbers.
            view: its number, or `CLEAN`.

        Returns:
            float32 `[b, ...]` by column.

        Raises:
            DataError: a position is out of range, or there is no such view.

        Memory: O(b d).
        """
        if not CLEAN <= view < self.views:
            raise DataError(
                f"view {view} was asked of {self!r}; record more with --views {view + 1}, or set "
                f"data.cycle to {self.views}"
            )
        found: dict[str, Tensor] = {}
        for group, columns in enumerate(self.manifest.groups):
            rows = self.records[view, group].tensor(positions)
            sizes = [each.size for each in columns]
            parts = rows.split(sizes, dim=1)  # type: ignore[no-untyped-call]
            for each, part in zip(columns, parts, strict=True):
                found[each.name] = part.unflatten(1, each.shape)
        return found

    def positions(
        self, keys: npt.NDArray[np.int64], ids: Sequence[str] | None = None
    ) -> npt.NDArray[np.int64]:
        """The row of each of some examples; as `Record.positions`."""
        return self._first.positions(keys, ids)

    def check(self, *candidates: Examples) -> None:
        """Make sure that the rows are those of one of these sets of examples.

        Raises:
            DataError: of none; says what differs from the last.
        """
        *others, last = candidates
        for examples in others:
            try:
                check_fits(self._first.manifest, self._first.ids, examples, name=str(self.folder))
            except DataError:
                continue
            return
        check_fits(self._first.manifest, self._first.ids, last, name=str(self.folder))

    def fingerprint(self) -> str:
        """32 hexadecimal digits of all ids, columns and rows."""
        digest = hashlib.blake2b(repr(self.columns).encode(), digest_size=16)
        for key, record in self.records.items():
            digest.update(f"{key} {record.fingerprint()} ".encode())
        return digest.hexdigest()

    @cached_property
    def _first(self) -> Record:
        return self.records[CLEAN, 0]


def open_places(path: Path | str, split: str = "train", *, verify: bool = True) -> PlacesRecord:
    """The record of one split: a subfolder, or the folder itself where it is one.

    Raises:
        DataError: there is none of this split; names those there are.
    """
    folder = find_split(Path(path), split)
    return PlacesRecord.open(folder, verify=verify)


def is_places(path: Path | str, split: str = "train") -> bool:
    """Whether a folder holds a record of places."""
    return any((folder / PLACES).is_file() for folder in (Path(path), Path(path) / split))


def find_split(path: Path, split: str) -> Path:
    """The folder of one split's record of places."""
    if (path / PLACES).is_file():
        return path
    if not (path / split / PLACES).is_file():
        splits = [each.parent.name for each in sorted(path.glob(f"[!.]*/{PLACES}"))]
        raise DataError(f"{path} has no record of split {split!r}: {suggest(split, splits)}")
    return path / split
