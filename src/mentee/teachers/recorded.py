"""A teacher whose outputs are in records: by example and view, looked up while a student trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mentee.data import Examples
from mentee.data.loader import ahead
from mentee.errors import DataError, PairError
from mentee.records import Record
from mentee.records.columns import Column
from mentee.records.manifest import checksum
from mentee.types import CLEAN, Batch, Features, Statistics, on_device

IN_MEMORY = 1 << 30
"""Bytes of float32 vectors that are kept in memory, all records together."""

NOT_RECORDED = (1, 1, 1)
"""Stands for the shape of a stage of which nothing was recorded; such a stage cannot be read."""


@dataclass(frozen=True)
class RecordedLayer:
    """A layer of which a record has something.

    Attributes:
        name: `embedding`, `frames`, `stages.0`; with the record's name behind a point where there
            are several records.
        shape: of the layer's output, of one example.
    """

    name: str
    shape: tuple[int, ...]


class RecordedTeacher:
    """A teacher whose features are in a record, or several embedders each in one.

    The outputs of a recipe's network are recorded by view, so that the student may see augmented
    examples and be taught by what the network computed of exactly these. Of an embedder there are
    the clean examples only.

    Args:
        records: one; or several of embedders by name, whose layers are `embedding.NAME`,
            `frames.NAME`.
        examples: those the student is trained on, all or a part of the recorded ones.
        clean: the outputs for the clean example are used for every view of it; so they always are
            of embedders.
        measured: examples whose clean vectors are measured for `statistics`; None: all.
        memory: bytes that clean features may take in memory; more are read from disk.

    Raises:
        DataError: an example has no row, or there are no records.

    Memory: O(n d) of clean features up to `memory`, else O(n).
    """

    def __init__(
        self,
        records: Record | Mapping[str, Record],
        examples: Examples,
        *,
        clean: bool = False,
        measured: Examples | None = None,
        memory: int = IN_MEMORY,
    ) -> None:
        self.records = {"": records} if isinstance(records, Record) else dict(records)
        if not self.records:
            raise DataError("there are no records to learn from; give at least one")
        self.network = next((each.manifest.network for each in self.records.values()), None)
        self.clean = clean or self.network is None
        shapes = {
            named(layer, name): shape
            for name, record in self.records.items()
            for column in record.columns
            for layer, shape in column.shapes.items()
        }
        # Stages that the teacher has and the record has not count where stages are paired.
        for record in self.records.values():
            for number in range(int(record.manifest.teacher.get("stages", 0))):
                shapes.setdefault(f"stages.{number}", NOT_RECORDED)
        self.layers = tuple(RecordedLayer(*each) for each in shapes.items())
        self._rows = ExampleRows(examples)
        self._positions = {
            name: record.positions(examples.keys, examples.ids)
            for name, record in self.records.items()
        }
        self._measured = examples if measured is None else measured
        self._statistics: dict[str, Statistics] = {}
        numbers = sum(c.size for record in self.records.values() for c in record.columns)
        self._table: Features | None = None
        if self.clean and 4 * len(examples) * numbers <= memory:
            self._table = self._read(np.arange(len(examples)), CLEAN)

    @property
    def record(self) -> Record:
        """The record of a recipe's network, which is alone; the first of several embedders'."""
        return next(iter(self.records.values()))

    @property
    def table_bytes(self) -> int:
        """Of the clean features that are kept where the student is; 0: they are read from disk."""
        return sum(x.nbytes for x in (self._table or {}).values())

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """The features of a batch by layer or column; those of embedders mixed as the inputs are.

        Returns:
            float32 `[b, ...]`, on the device of the inputs.

        Raises:
            DataError: an example is not one of those given, its view was not recorded, or the
                inputs of a network are mixed.
        """
        if batch.mixed is not None and self.network is not None:
            raise DataError(
                "the examples are mixed with one another, and what the teacher computes of a "
                "mixture was not recorded; set train.mixup to null, or read the teacher live"
            )
        device = batch.inputs.device
        if self._table is not None:
            rows = on_device(self._rows.of(batch), device)
            self._table = {name: x.to(device) for name, x in self._table.items()}
            features = {name: x[rows] for name, x in self._table.items()}
        else:
            ahead = (batch.recorded or {}).get(self)
            features = self._read_batch(batch) if ahead is None else ahead
            features = {name: on_device(x, device) for name, x in features.items()}
        mixed = batch.mixed
        return features if mixed is None else {name: mixed.of(x) for name, x in features.items()}

    def read_ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches, with their rows read from object storage while the one before is in use."""
        remote = any(record.remote for record in self.records.values())
        if self._table is not None or not remote:
            return batches

        def fetched(batch: Batch) -> Batch:
            read = {**(batch.recorded or {}), self: self._read_batch(batch)}
            return replace(batch, recorded=read)

        return ahead(map(fetched, batches))

    def statistics(self, layer: str) -> Statistics:
        """How the vectors at a layer are distributed over the clean training examples.

        Raises:
            PairError: vectors of the layer were not recorded.
        """
        if layer not in self._statistics:
            self._statistics[layer] = self._fit(layer)
        return self._statistics[layer]

    def clean_rows(self, rows: Tensor, columns: Sequence[str]) -> Features:
        """Those of the columns that are recorded of some training examples, clean.

        Args:
            rows: where they stand among the examples, `[m]`, on the CPU.
            columns: by name; those that are not recorded are left out.

        Returns:
            float32 `[m, ...]` by column, on the CPU.

        Memory: O(m d).
        """
        index, features = rows.numpy(), dict[str, Tensor]()
        for name, record in self.records.items():
            own = [c.name for c in record.columns if named(c.name, name) in columns]
            if own:
                read = record.read(self._positions[name][index], CLEAN, own)
                features |= {named(key, name): x for key, x in read.items()}
        return features

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the records, their ids and rows."""
        each = (f"{name} {record.fingerprint()} " for name, record in self.records.items())
        return checksum("".join(each))

    def _read_batch(self, batch: Batch) -> Features:
        return self._read(self._rows.of(batch).numpy(), CLEAN if self.clean else batch.view)

    def _read(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]], view: int) -> Features:
        return {
            named(key, name): value
            for name, record in self.records.items()
            for key, value in record.read(self._positions[name][rows], view).items()
        }

    def _fit(self, layer: str) -> Statistics:
        columns: dict[str, tuple[str, Column]] = {
            named(each.name, name): (name, each)
            for name, record in self.records.items()
            for each in record.columns
        }
        for key in (layer, f"{layer} | mean"):
            if key in columns:
                name, column = columns[key]
                record = self.records[name]
                rows = record.positions(self._measured.keys, self._measured.ids)
                everything = np.array_equal(np.sort(rows), np.arange(len(record)))
                if self.network is None and everything:
                    return record.statistics  # as they were saved with it
                return record.fit(rows, column)
        raise PairError(
            f"{', '.join(map(repr, self.records.values()))} has no vectors of {layer}, only "
            f"{', '.join(columns)}; record what the method reads: mentee record RECIPE --out ... "
            "--methods NAME"
        )


def named(layer: str, record: str) -> str:
    """A layer, or a column, of one of several records."""
    return f"{layer}.{record}" if record else layer


class ExampleRows:
    """Finds the examples of a batch among those of a teacher by their keys, which never change."""

    def __init__(self, examples: Examples) -> None:
        self._name, self._keys = examples.name, torch.from_numpy(examples.keys)
        self._sorted, self._order = self._keys.sort()

    def of(self, batch: Batch) -> Tensor:
        """`[b]` row numbers, on the CPU.

        Raises:
            DataError: an example is none of them.
        """
        rows = batch.rows.clamp(0, len(self._keys) - 1)
        if torch.equal(self._keys[rows], batch.ids) and torch.equal(rows, batch.rows):
            return batch.rows
        # Rows of another part of the examples: the keys never change.
        ids = batch.ids
        rows = torch.searchsorted(self._sorted, ids).clamp(max=len(self._sorted) - 1)
        missing = ids[self._sorted[rows] != ids].tolist()
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(ids)} examples of a batch are none of {self._name}, "
                f"whose vectors were looked up (first key: {missing[0]}); make the teacher of the "
                "examples that it is used for"
            )
        return self._order[rows]
