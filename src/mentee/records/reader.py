"""A record, opened: what a teacher computed of each example, read where it lies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee import files
from mentee.data import Examples, hash_ids
from mentee.errors import DataError, RunError, first_few
from mentee.files import located
from mentee.records import statistics
from mentee.records.codecs import decode, unpack
from mentee.records.columns import Column
from mentee.records.folders import find_split
from mentee.records.integrity import check_file, check_shard, read_ids
from mentee.records.manifest import STATISTICS, Manifest, basis_file, checksum, read_manifest
from mentee.records.matching import check_fits, fits
from mentee.records.statistics import Bases, Moments, load_bases
from mentee.records.stored_rows import MappedRows, RangedRows
from mentee.representations.pooled import averaged
from mentee.types import CLEAN, Statistics
from mentee.urls import Url

CHUNK, CHUNK_BYTES = 4096, 256 << 20
"""Vectors that are summed up at once, and the most that their rows take as float32."""
Positions: TypeAlias = Sequence[int] | npt.NDArray[np.int64]


class Record:
    """What a teacher computed of each example at its layers, clean and in views.

    Use `Record.open`. The `n` ids are in the order of the rows; `bases` are the principal
    directions by group, and by column.
    """

    def __init__(
        self, folder: Path | Url, manifest: Manifest, ids: tuple[str, ...], bases: Sequence[Bases]
    ) -> None:
        self.folder, self.manifest, self.ids, self.bases = folder, manifest, ids, bases
        rows = RangedRows if isinstance(folder, Url) else MappedRows
        self.parts = {
            (each.view, each.group): rows(
                folder / each.folder, each, manifest.numbers(each.group), manifest.dtype
            )
            for each in manifest.parts
        }

    @classmethod
    def open(cls, path: Path | Url | str, *, verify: bool | None = None) -> Record:
        """Open the record in a folder, by its files' sizes and, to `verify`, checksums (1 s / GB).

        None: verify them in a folder, and not in object storage, where all would be fetched.

        Raises:
            DataError: there is no record, it is of another version, or a file is damaged: which.
        """
        folder = located(path)
        verify = isinstance(folder, Path) if verify is None else verify
        manifest = read_manifest(folder)
        for part in manifest.parts:
            numbers = manifest.numbers(part.group)
            for shard in part.shards:
                check_shard(folder / part.folder, shard, numbers, manifest.dtype, verify=verify)
        bases = list[Bases]()
        for number, group in enumerate(manifest.groups):
            file = folder / basis_file(number)
            if group.basis is not None:
                check_file(file, group.basis)
            bases.append({} if group.basis is None else load_bases(file, group.columns))
        return cls(folder, manifest, read_ids(folder, manifest), bases)

    def __getstate__(self) -> dict[str, Any]:
        """For another process: no rows, which it maps for itself, and nothing else it can find."""
        names = ("folder", "manifest", "ids", "bases", "parts")
        return {name: self.__dict__[name] for name in names}

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        views = f", {self.views} views" if self.views else ""
        return f"Record({self.manifest.name!r}, {len(self)} examples{views}, {str(self.folder)!r})"

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is stored."""
        return self.manifest.columns

    @property
    def views(self) -> int:
        """How many views there are beside the clean one."""
        return self.manifest.count

    @property
    def vector(self) -> Column:
        """The only column of an embedder's record.

        Raises:
            DataError: there are several.
        """
        if len(self.columns) > 1:
            names = ", ".join(each.name for each in self.columns)
            raise DataError(f"{self!r} has no one vector of an example, but {names}")
        return self.columns[0]

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """`[n]` hashes of the ids, as `Examples.keys`."""
        return hash_ids(self.ids)

    def read(
        self, positions: Positions, view: int = CLEAN, names: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """Some rows of one view, in the order asked for.

        Args:
            positions: `[b]` row numbers, each in [0, n).
            view: its number, or `CLEAN`.
            names: of the columns; None: all.

        Returns:
            float32 `[b, ...]` by column, a copy.

        Raises:
            DataError: a position is out of range, or there is no such view.

        Memory: O(b d).
        """
        index = np.asarray(positions, np.int64).reshape(-1)
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise DataError(
                f"rows {index.min()} to {index.max()} were asked of {self!r}, which has rows 0 to "
                f"{len(self) - 1}"
            )
        if not CLEAN <= view < self.views:
            raise DataError(
                f"view {view} was asked of {self!r}; record more with --views {view + 1}, or set "
                f"data.cycle to {self.views}"
            )
        features: dict[str, Tensor] = {}
        for number, group in enumerate(self.manifest.groups):
            if names is not None and not {each.name for each in group.columns} & set(names):
                continue
            stored = self.parts[view, number].read(index)
            rows = decode(stored, self.manifest.dtype, self._scales[number])
            features |= unpack(group.columns, rows, self.bases[number])
        return {k: v for k, v in features.items() if names is None or k in names}

    def vectors(self, positions: Positions) -> Tensor:
        """Some rows of the only column: float32 `[b, d]`, or `[b, t, d]` of time frames."""
        return self.read(positions)[self.vector.name]

    def of(self, keys: npt.NDArray[np.int64]) -> Tensor:
        """The vectors of the examples with these keys; the arguments are those of `positions`."""
        return self.vectors(self.positions(keys))

    def positions(
        self, keys: npt.NDArray[np.int64], ids: Sequence[str] | None = None
    ) -> npt.NDArray[np.int64]:
        """The row of each of some examples, by their keys `[b]`; ids are for the message.

        Raises:
            DataError: an example has no row.

        Memory: O(n).
        """
        order, in_order = self._by_key
        rows: npt.NDArray[np.int64] = order[
            np.searchsorted(in_order, keys).clip(max=len(order) - 1)
        ]
        missing = np.flatnonzero(self.keys[rows] != keys)
        if len(missing):
            names = [
                f"key {keys[row]}" if ids is None else repr(ids[row]) for row in missing.tolist()
            ]
            raise DataError(
                f"{len(missing):,} of {len(keys):,} examples have no row in {self!r}: "
                f"{first_few(names, 3)}; record the split that they are from with `mentee record`"
            )
        return rows

    @property
    def remote(self) -> bool:
        """Whether its rows are in object storage and worth reading ahead."""
        return any(each.remote for each in self.parts.values())

    def of_views(self, views: Iterable[int]) -> list[MappedRows]:
        """The rows of some views."""
        chosen = set(views)
        return [each for (view, _), each in self.parts.items() if view in chosen]

    def check(self, *candidates: Examples) -> None:
        """Make sure that the rows are those of one of these sets of examples.

        Each is a whole split, or what is used of it.

        Raises:
            DataError: of none; tells what differs from the last: examples without a row, rows
                without an example, other contents, another kind.
        """
        *others, last = candidates
        kind, data = self.manifest.kind, self.manifest.data
        if not any(fits(kind, data, self.ids, examples) for examples in others):
            check_fits(kind, data, self.ids, last, name=str(self.folder))

    def fingerprint(self) -> str:
        """32 hexadecimal digits of all ids, columns and rows."""
        manifest = self.manifest
        groups = [each.model_dump(mode="json") for each in manifest.groups]
        text = repr((manifest.ids, manifest.dtype, groups))
        for part in manifest.parts:
            text += f"{part.folder} {' '.join(each.checksum for each in part.shards)} "
        return checksum(text)

    @cached_property
    def statistics(self) -> Statistics:
        """Of all vectors; fitted again where the file is missing, and saved if it is the same.

        Raises:
            DataError: the file is damaged.
        """
        path, expected = self.folder / STATISTICS, self.manifest.statistics.get("checksum")
        if path.is_file() and expected is not None:
            fitted = statistics.load(path, self.vector.shape[-1])
            if fitted is None or checksum(path) != expected:
                raise DataError(
                    f"{path} is damaged, or of other vectors; delete it, and it is fitted again"
                )
            return fitted
        fitted = self.fit(range(len(self)), self.vector)
        if expected is not None:
            with contextlib.suppress(RunError):  # a folder that may only be read keeps nothing
                files.write(path, lambda temporary: statistics.save(fitted, temporary))
                if checksum(path) != expected:  # another machine rounds otherwise
                    path.unlink()
        return fitted

    def fit(self, positions: Positions | range, column: Column) -> Statistics:
        """Statistics of a column's vectors of some rows; as `moments`."""
        return self.moments(positions, column).statistics()

    def moments(self, positions: Positions | range, column: Column) -> Moments:
        """Moments of a column's vectors of some rows, such as those a student is trained on.

        Of maps and tokens the means are the vectors, of `frames` each frame.

        Raises:
            DataError: there are none.

        Memory: O(d²), and a few times 256 MiB for rows.
        """
        index = np.asarray(positions, np.int64)
        if not len(index):
            raise DataError(f"no rows of {self!r} to fit statistics on; give at least one")
        frames = column.layer == "frames"
        group = next(each for each in self.manifest.groups if column in each.columns)
        row_bytes = 4 * sum(each.size for each in group.columns)
        step = max(min(CHUNK // (column.shape[0] if frames else 1), CHUNK_BYTES // row_bytes), 1)
        chunks = (
            self.read(index[start : start + step], CLEAN, [column.name])[column.name]
            for start in range(0, len(index), step)
        )
        moments = Moments(column.shape[0] if len(column.shape) == 3 else column.shape[-1])
        for chunk in chunks:
            moments.add((chunk if frames else averaged(chunk)).numpy())
        return moments

    @cached_property
    def _scales(self) -> list[Tensor | None]:
        groups = self.manifest.groups
        return [None if each.scales is None else torch.tensor(each.scales) for each in groups]

    @cached_property
    def _by_key(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        order = np.argsort(self.keys, kind="stable")
        return order, self.keys[order]


def open_record(
    path: Path | Url | str, split: str = "train", *, verify: bool | None = None
) -> Record:
    """The record of one split: a subfolder, or the folder itself where it is a record.

    Raises:
        DataError: there is none of this split; names those there are.
    """
    return Record.open(find_split(path, split), verify=verify)
