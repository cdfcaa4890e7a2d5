"""A record of what methods read at the places of a network: clean, and in views.

A folder with one record for each view (`clean`, `view-000`, ...), whose rows hold the columns one
behind the other, and a manifest over them. Places that were added later have records of their own
(`clean+1`, `view-000+1`, ...).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mentee.data import Examples
from mentee.errors import DataError, suggest
from mentee.records.checking import check_fits
from mentee.records.codecs import Bases, load, unpack
from mentee.records.columns import Column
from mentee.records.integrity import MEND
from mentee.records.manifest import checksum
from mentee.records.network_manifest import (
    PLACES,
    NetworkManifest,
    basis_of,
    folder_of,
    read_network_manifest,
)
from mentee.records.reader import Positions, Record
from mentee.types import CLEAN


class NetworkRecord:
    """What a network said of each example at its places, clean and in views.

    Use `NetworkRecord.open`.

    Args:
        folder: where it lies.
        manifest: what it says of itself.
        records: by (view, group).
        bases: the principal directions by group, and by column.
    """

    def __init__(
        self,
        folder: Path,
        manifest: NetworkManifest,
        records: dict[tuple[int, int], Record],
        bases: Mapping[int, Bases],
    ) -> None:
        self.folder, self.manifest, self.records, self.bases = folder, manifest, records, bases

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True) -> NetworkRecord:
        """Open the record in a folder.

        Args:
            path: the folder.
            verify: compare each file with its checksum, not only its size.

        Raises:
            DataError: there is none, it is not whole, or a file is damaged: which.
        """
        folder = Path(path)
        manifest = read_network_manifest(folder)
        records: dict[tuple[int, int], Record] = {}
        ids: tuple[str, ...] | None = None  # the same of all, so they are kept once
        for view in range(CLEAN, manifest.count):
            for group in range(len(manifest.groups)):
                sheet = folder / folder_of(view, group)
                records[view, group] = Record.open(sheet, verify=verify, ids=ids)
                ids = records[view, group].ids
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

    def of_views(self, views: Iterable[int]) -> list[Record]:
        """The records of some views."""
        chosen = set(views)
        return [each for (view, _), each in self.records.items() if view in chosen]

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


def _bases(folder: Path, manifest: NetworkManifest) -> dict[int, Bases]:
    found: dict[int, Bases] = {}
    for each in manifest.bases:
        path = folder / basis_of(each.group)
        if not path.is_file():
            raise DataError(f"{path} is missing; {MEND}")
        if checksum(path) != each.checksum:
            raise DataError(f"{path} is damaged: its checksum is another one; {MEND}")
        found[each.group] = load(path, manifest.groups[each.group])
    return found


def open_network_record(
    path: Path | str, split: str = "train", *, verify: bool = True
) -> NetworkRecord:
    """The record of one split: a subfolder, or the folder itself where it is one.

    Raises:
        DataError: there is none of this split; names those there are.
    """
    folder = find_split(Path(path), split)
    return NetworkRecord.open(folder, verify=verify)


def is_network_record(path: Path | str, split: str = "train") -> bool:
    """Whether a folder holds a record of places."""
    return any((folder / PLACES).is_file() for folder in (Path(path), Path(path) / split))


def holds_network_record(folder: Path) -> bool:
    """Whether a folder, or one of its splits, is a record of places."""
    return (folder / PLACES).is_file() or any(folder.glob(f"[!.]*/{PLACES}"))


def find_split(path: Path, split: str) -> Path:
    """The folder of one split's record of places."""
    if (path / PLACES).is_file():
        return path
    if not (path / split / PLACES).is_file():
        splits = [each.parent.name for each in sorted(path.glob(f"[!.]*/{PLACES}"))]
        raise DataError(f"{path} has no record of split {split!r}: {suggest(split, splits)}")
    return path / split
