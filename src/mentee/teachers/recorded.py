"""What teachers said once and for all, looked up while the student trains."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.data import Examples
from mentee.errors import DataError
from mentee.records.reader import Record
from mentee.teachers.rows import Rows
from mentee.types import Batch, Features, Statistics

IN_MEMORY = 1 << 30
"""Bytes of float32 vectors that are kept in memory, all records together."""


@dataclass(frozen=True)
class RecordedLayer:
    """What is read in a record.

    Attributes:
        name: `embedding` or `frames`, with the record's name behind a point where there are some.
        shape: of one example: `(d,)` or `(t, d)`.
    """

    name: str
    shape: tuple[int, ...]


class RecordedTeacher:
    """Teachers whose vectors are in records.

    Args:
        records: one; or several by name, whose places are `embedding.NAME`, `frames.NAME`.
        examples: those the student is trained on, all or a part of the recorded ones.
        memory: bytes that the vectors may take in memory; more are read from disk.

    Raises:
        DataError: an example has no row, or there are no records.

    Memory: O(n t d) up to `memory`, else O(n).
    """

    def __init__(
        self, records: Record | Mapping[str, Record], examples: Examples, *, memory: int = IN_MEMORY
    ) -> None:
        if isinstance(records, Record):
            self.records = {_place(records): records}
        else:
            self.records = {f"{_place(each)}.{name}": each for name, each in records.items()}
        if not self.records:
            raise DataError("there are no records to learn from; give at least one")
        self.places = tuple(RecordedLayer(name, each.shape) for name, each in self.records.items())
        self._rows = Rows(examples)
        self._positions = {
            name: each.positions(examples.keys, examples.ids) for name, each in self.records.items()
        }
        size = sum(4 * len(examples) * int(np.prod(each.shape)) for each in self.records.values())
        self._tables: dict[str, Tensor] = {}
        if size <= memory:
            self._tables = {name: self._read(name, slice(None)) for name in self.records}
        self._statistics: dict[str, Statistics] = {}

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """The vectors of a batch's examples, mixed as they are.

        Args:
            batch: examples of those given, whatever their view.

        Returns:
            float32 `[b, d]` or `[b, t, d]` for each place, on the device of the inputs.

        Raises:
            DataError: an example is not one of those given.
        """
        device = batch.inputs.device
        rows = self._rows.of(batch)
        said = {}
        for name in self.records:
            if self._tables:
                table = self._tables[name] = self._tables[name].to(device)
                found = table[rows.to(device)]
            else:
                found = self._read(name, rows.cpu().numpy()).to(device)
            said[name] = found if batch.mixed is None else batch.mixed.of(found)
        return said

    def statistics(self, place: str) -> Statistics:
        """How the vectors at a place are distributed over the training examples.

        Args:
            place: a name of `places`.
        """
        if place not in self._statistics:
            each, positions = self.records[place], self._positions[place]
            whole = np.array_equal(np.sort(positions), np.arange(len(each)))
            self._statistics[place] = each.statistics if whole else each.fit(positions)
        return self._statistics[place]

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the places, their ids and rows."""
        digest = hashlib.blake2b(digest_size=16)
        for name, each in self.records.items():
            digest.update(f"{name} {each.fingerprint()} ".encode())
        return digest.hexdigest()

    def _read(self, name: str, rows: npt.NDArray[np.int64] | slice) -> Tensor:
        return torch.from_numpy(self.records[name].read(self._positions[name][rows]))


def _place(record: Record) -> str:
    return "embedding" if record.manifest.frames is None else "frames"
