"""A record of what methods read at the places of a network: clean, and in views.

A folder with one record for each view (`clean`, `view-000`, ...), whose rows hold the columns one
behind the other, and a manifest over them. Places that were added later have records of their own
(`clean+1`, `view-000+1`, ...).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
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
from mentee.teachers.record.columns import Column
from mentee.teachers.record.integrity import MEND
from mentee.teachers.record.keeping import Bases, load, unpack
from mentee.teachers.record.manifest import Dtype, checksum
from mentee.teachers.record.reading import Positions, Record
from mentee.teachers.record.signed import check, read_signed
from mentee.types import CLEAN

PLACES = "places.json"
FORMAT = 2
READ = (1, FORMAT)  # format 1 kept all columns whole
SHEET = re.compile(r"(clean|view-\d{3,})(\+\d+)?|basis(\+\d+)?\.safetensors")
"""The names of the subfolders, and of the files of principal directions."""


class BasisFile(BaseModel):
    """The principal directions of a group's columns.

    Attributes:
        group: which.
        checksum: of the file.
        explained: the share of the variance that is kept, by column, on a sample.
    """

    model_config = ConfigDict(frozen=True)

    group: int
    checksum: str
    explained: dict[str, float]


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
        bases: of the groups with columns in principal components.
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
    bases: tuple[BasisFile, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, of the first group first."""
        return tuple(itertools.chain(*self.groups))

    @property
    def numbers(self) -> int:
        """How many numbers are kept of one view of one example."""
        return sum(each.stored for each in self.columns)


def folder_of(view: int, group: int) -> str:
    """The subfolder of a view's record.

    Example:
        >>> folder_of(CLEAN, 0), folder_of(3, 1)
        ('clean', 'view-003+1')
    """
    return ("clean" if view == CLEAN else f"view-{view:03d}") + (f"+{group}" if group else "")


def basis_of(group: int) -> str:
    """The file with the principal directions of a group's columns."""
    return "basis" + (f"+{group}" if group else "") + ".safetensors"


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
        if said.get("format") in READ:
            return PlacesManifest.model_validate(check(path, said))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); record anew, or copy it again") from error
    raise DataError(
        f"{path} has format {said.get('format')}, this version of mentee reads formats 1 "
        f"and {FORMAT}; use the version that wrote it, or record anew"
    )


class PlacesRecord:
    """What a network said of each example at its places, clean and in views.

    Use `PlacesRecord.open`.

    Args:
        folder: where it lies.
        manifest: what it says of itself.
        records: by (view, group).
        bases: the principal directions by group, and by column.
    """

    def __init__(
        self,
        folder: Path,
        manifest: PlacesManifest,
        records: dict[tuple[int, int], Record],
        bases: Mapping[int, Bases],
    ) -> None:
        self.folder, self.manifest, self.records, self.bases = folder, manifest, records, bases

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
            expected = sum(each.stored for each in manifest.groups[group])
            if (len(record), record.width) != (manifest.rows, expected):
                raise DataError(
                    f"{record.folder} holds {len(record)} rows of {record.width} numbers, "
                    f"{PLACES} says {manifest.rows} of {expected} (view {view}); record anew"
                )
        return cls(folder, manifest, records, _bases(folder, manifest))

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
            found |= unpack(columns, rows, self.bases.get(group, {}))
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
                self._check(examples)
            except DataError:
                continue
            return
        self._check(last)

    def _check(self, examples: Examples) -> None:
        said = self.manifest
        check_fits(said.kind, said.data, self._first.ids, examples, name=str(self.folder))

    def fingerprint(self) -> str:
        """32 hexadecimal digits of all ids, columns and rows."""
        digest = hashlib.blake2b(repr([c.said() for c in self.columns]).encode(), digest_size=16)
        for key, record in self.records.items():
            digest.update(f"{key} {record.fingerprint()} ".encode())
        for each in self.manifest.bases:
            digest.update(each.checksum.encode())
        return digest.hexdigest()

    @cached_property
    def _first(self) -> Record:
        return self.records[CLEAN, 0]


def _bases(folder: Path, manifest: PlacesManifest) -> dict[int, Bases]:
    found: dict[int, Bases] = {}
    for each in manifest.bases:
        path = folder / basis_of(each.group)
        if not path.is_file():
            raise DataError(f"{path} is missing; {MEND}")
        if checksum(path) != each.checksum:
            raise DataError(f"{path} is damaged: its checksum is another one; {MEND}")
        found[each.group] = load(path, manifest.groups[each.group])
    return found


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
