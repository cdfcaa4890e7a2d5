"""A record, opened: rows are read where they lie, never all at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee import files
from mentee.data import Examples, hash_ids
from mentee.errors import DataError, RunError, suggest
from mentee.records import statistics
from mentee.records.checking import check_fits
from mentee.records.integrity import MEND, check_shard, read_ids
from mentee.records.manifest import MANIFEST, STATISTICS, Manifest, checksum, read_manifest
from mentee.records.numeric import STORED, decode
from mentee.types import Statistics

_CHUNK = 4096  # vectors summed up at once
Positions = Sequence[int] | npt.NDArray[np.int64]


class Record:
    """What a teacher said of each example, in a folder.

    Use `Record.open`.

    Args:
        folder: where it lies.
        manifest: what it says of itself.
        ids: the `n` examples' own names, in the order of the rows.
    """

    def __init__(self, folder: Path, manifest: Manifest, ids: tuple[str, ...]) -> None:
        self.folder, self.manifest, self.ids = folder, manifest, ids
        sizes = [shard.rows for shard in manifest.shards]
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes

    @classmethod
    def open(
        cls, path: Path | str, *, verify: bool = True, ids: tuple[str, ...] | None = None
    ) -> Record:
        """Open the record in a folder.

        Args:
            path: the folder.
            verify: compare each file with its checksum, not only its size: about a second for
                each gigabyte.
            ids: of another record; they are shared where they are the same.

        Raises:
            DataError: there is no record, it is of another version, or a file is damaged: which.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        for shard in manifest.shards:
            check_shard(folder, shard, verify=verify)
        own = read_ids(folder, manifest)
        return cls(folder, manifest, ids if ids == own and ids is not None else own)

    def __getstate__(self) -> dict[str, Any]:
        """For another process: no rows, which it maps for itself, and nothing else it can find."""
        kept = ("folder", "manifest", "ids", "_ends", "_starts")
        return {name: self.__dict__[name] for name in kept}

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Record({self.manifest.name!r}, {list(self.manifest.shape)}, {str(self.folder)!r})"

    @property
    def width(self) -> int:
        """Entries of one vector, d."""
        return self.manifest.width

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: `(d,)` or `(t, d)`."""
        return self.manifest.shape[1:]

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """`[n]` hashes of the ids, as `Examples.keys`."""
        return hash_ids(self.ids)

    def read(self, positions: Positions) -> npt.NDArray[np.float32]:
        """As `tensor`, for NumPy."""
        found: npt.NDArray[np.float32] = self.tensor(positions).numpy()
        return found

    def tensor(self, positions: Positions) -> Tensor:
        """Some rows, in the order asked for.

        Args:
            positions: `[b]` row numbers, each in [0, n).

        Returns:
            float32 `[b, d]` or `[b, t, d]`, a copy.

        Raises:
            DataError: a position is out of range.

        Memory: O(b t d).
        """
        index = np.asarray(positions, np.int64).reshape(-1)
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise DataError(
                f"rows {index.min()} to {index.max()} were asked of {self!r}, which has rows 0 to "
                f"{len(self) - 1}"
            )
        return decode(self.stored(index), self.manifest.dtype, self._scales)

    def stored(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
        """Rows as they are stored, a copy."""
        if len(self._shards) == 1:
            return self._shards[0].take(index, axis=0)
        found = np.empty((len(index), *self.shape), STORED[self.manifest.dtype])
        shard = np.searchsorted(self._ends, index, side="right")
        for number in np.unique(shard):
            here = np.flatnonzero(shard == number)
            found[here] = self._shards[number].take(index[here] - self._starts[number], axis=0)
        return found

    @property
    def bytes(self) -> int:
        """The size of its rows."""
        return sum(shard.bytes for shard in self.manifest.shards)

    def load(self) -> None:
        """Copy all rows into memory, pinned where CUDA is there; from now on they are read there.

        Memory: `bytes`.
        """
        pinned = torch.cuda.is_available()
        for number, rows in enumerate(self._shards):
            place = torch.empty(rows.nbytes, dtype=torch.uint8, pin_memory=pinned).numpy()
            place = place.view(rows.dtype).reshape(rows.shape)
            np.copyto(place, rows)
            self._shards[number] = place

    @cached_property
    def _scales(self) -> Tensor | None:
        scales = self.manifest.scales
        return None if scales is None else torch.tensor(scales)

    def positions(
        self, keys: npt.NDArray[np.int64], ids: Sequence[str] | None = None
    ) -> npt.NDArray[np.int64]:
        """The row of each of some examples.

        Args:
            keys: `[b]` keys, as `Examples.keys`.
            ids: their ids, for the message.

        Raises:
            DataError: an example has no row.

        Memory: O(n).
        """
        order, ordered = self._by_key
        place = np.searchsorted(ordered, keys).clip(max=len(order) - 1)
        found: npt.NDArray[np.int64] = order[place]
        missing = np.flatnonzero(self.keys[found] != keys)
        if len(missing):
            names = [f"key {keys[row]}" if ids is None else repr(ids[row]) for row in missing[:3]]
            raise DataError(
                f"{len(missing):,} of {len(keys):,} examples have no row in {self!r}: "
                f"{', '.join(names)}{', ...' if len(missing) > 3 else ''}; record the split that "
                "they are from with `mentee record`"
            )
        return found

    def of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The vectors of some examples.

        Args:
            keys: `[b]` keys, as `Examples.keys`.

        Returns:
            `[b, d]` or `[b, t, d]`.

        Raises:
            DataError: an example has no row.
        """
        return self.read(self.positions(keys))

    @cached_property
    def _by_key(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        order = np.argsort(self.keys)
        return order, self.keys[order]

    @cached_property
    def _shards(self) -> list[npt.NDArray[np.generic]]:
        shards = []
        for shard in self.manifest.shards:
            path = self.folder / shard.file
            try:
                rows = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError) as error:
                raise DataError(f"{path} cannot be read ({error}); {MEND}") from error
            type_is_right = rows.dtype == STORED[self.manifest.dtype]
            if rows.shape != (shard.rows, *self.shape) or not type_is_right:
                raise DataError(
                    f"{path} holds {rows.dtype} {list(rows.shape)}, the manifest says "
                    f"{self.manifest.dtype} {[shard.rows, *self.shape]}; {MEND}"
                )
            shards.append(rows)
        return shards

    @cached_property
    def statistics(self) -> Statistics:
        """Of all vectors; fitted and kept again where the file is missing or damaged."""
        path = self.folder / STATISTICS
        found = statistics.load(path, self.width) if self._statistics_are_whole() else None
        if found is None:
            found = fitted = self.fit(range(len(self)))
            try:
                files.write(path, lambda beside: statistics.save(fitted, beside))
            except RunError:  # a folder that may only be read keeps nothing
                return found
        return found

    def _statistics_are_whole(self) -> bool:
        path, said = self.folder / STATISTICS, self.manifest.statistics.get("checksum")
        return path.is_file() and said is not None and checksum(path) == said

    def fit(self, positions: Positions | range) -> Statistics:
        """Statistics of the vectors of some rows, such as those a student is trained on.

        Args:
            positions: `[b]` row numbers.

        Raises:
            DataError: there are none.

        Memory: O(d²).
        """
        index = np.asarray(positions, np.int64)
        if not len(index):
            raise DataError(f"no rows of {self!r} to fit statistics on; give at least one")
        return statistics.fit(self._chunks(index), self.width)

    def _chunks(self, index: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float32]]:
        step = max(_CHUNK // (self.manifest.frames or 1), 1)
        for start in range(0, len(index), step):
            yield self.read(index[start : start + step])

    def check(self, examples: Examples) -> None:
        """Make sure that the rows are those of a split.

        Args:
            examples: the whole split, before a part is cut off or a limit is set.

        Raises:
            DataError: examples without a row, rows without an example, other contents, another
                kind: says which.
        """
        check_fits(
            self.manifest.kind, self.manifest.data, self.ids, examples, name=str(self.folder)
        )

    def fingerprint(self) -> str:
        """32 hexadecimal digits of all ids and rows."""
        digest = hashlib.blake2b(self.manifest.ids.encode(), digest_size=16)
        digest.update(repr((self.manifest.shape, self.manifest.dtype)).encode())
        for shard in self.manifest.shards:
            digest.update(shard.checksum.encode())
        return digest.hexdigest()


def open_records(path: Path | str, split: str = "train", *, verify: bool = True) -> Record:
    """The record of one split: a subfolder, or the folder itself where it is a record.

    Args:
        path: `records/aisfx`, or `records/aisfx/train`.
        split: which subfolder.
        verify: as for `Record.open`.

    Raises:
        DataError: there is none of this split; names those there are.
    """
    folder = Path(path)
    if (folder / MANIFEST).is_file():
        return Record.open(folder, verify=verify)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; write a record with `mentee record`")
    if not (folder / split / MANIFEST).is_file():
        splits = [each.parent.name for each in sorted(folder.glob(f"[!.]*/{MANIFEST}"))]
        raise DataError(f"{folder} has no record of split {split!r}: {suggest(split, splits)}")
    return Record.open(folder / split, verify=verify)
