"""A network that was run once over the examples and their views, looked up while a student trains.

What the methods read of it is kept, by example and view; so the student may see augmented examples
and still be taught by what the network said of exactly these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from mentee.data import Examples
from mentee.errors import DataError, PairError
from mentee.records.network_record import NetworkRecord
from mentee.teachers.rows import Rows
from mentee.teachers.statistics import measure
from mentee.types import CLEAN, Batch, Features, Statistics

NOT_HELD = (1, 1, 1)
"""Stands for the shape of a stage of which nothing was recorded; such a stage cannot be read."""


@dataclass(frozen=True)
class ReplayedLayer:
    """A place that a record has something of.

    Attributes:
        name: of the place.
        shape: of what the network says there, of one example.
    """

    name: str
    shape: tuple[int, ...]


class RecordedNetworkTeacher:
    """A teacher whose features are in a record of places.

    Args:
        record: what it said.
        examples: those the student is trained on, all or a part of the recorded ones.
        clean: what it said of the clean example teaches every view of it.
        sample: gives batches of clean training examples, to measure how its vectors are
            distributed.

    Raises:
        DataError: an example has no row.
    """

    def __init__(
        self,
        record: NetworkRecord,
        examples: Examples,
        *,
        clean: bool = False,
        sample: Callable[[], Iterable[Batch]] | None = None,
    ) -> None:
        self.record, self.clean = record, clean
        shapes = {name: shape for each in record.columns for name, shape in each.shapes.items()}
        # Stages that the teacher has and the record has not count where stages meet.
        for number in range(int(record.manifest.teacher.get("stages", 0))):
            shapes.setdefault(f"stages.{number}", NOT_HELD)
        self.places = tuple(ReplayedLayer(name, shape) for name, shape in shapes.items())
        self._positions = record.positions(examples.keys, examples.ids)
        self._rows = Rows(examples)
        self._sample, self._measured = sample, dict[str, Statistics]()

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """What the network said of this view of a batch, by column.

        Raises:
            DataError: an example is not one of those given, the view was not recorded, or the
                examples are mixed.
        """
        if batch.mixed is not None:
            raise DataError(
                "the examples are mixed with one another, and what the teacher would say of a "
                "mixture was not recorded; set train.mixup to null, or read the teacher live"
            )
        rows = self._positions[self._rows.of(batch).cpu().numpy()]
        said = self.record.read(rows, CLEAN if self.clean else batch.view)
        device = batch.inputs.device
        if device.type == "cuda":  # from pinned memory the copy runs beside the student
            said = {name: each.pin_memory() for name, each in said.items()}
        return {name: each.to(device, non_blocking=True) for name, each in said.items()}

    def statistics(self, place: str) -> Statistics:
        """How its vectors at a place are distributed over the training examples.

        Raises:
            MenteeError: there is no `sample`.
            PairError: vectors of the place were not recorded.
        """
        names = (place, f"{place} | mean")
        if not self._measured.keys() & set(names):  # these alone: a record has wide columns too
            self._measured |= measure(self, self._sample, torch.device("cpu"), names)
        for name in names:
            if name in self._measured:
                return self._measured[name]
        held = ", ".join(column.name for column in self.record.columns)
        raise PairError(
            f"{self.record!r} has no vectors of {place}, only {held}; "
            "record what the method reads: mentee record RECIPE --out ... --methods NAME"
        )

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the places, their ids and rows."""
        return self.record.fingerprint()
