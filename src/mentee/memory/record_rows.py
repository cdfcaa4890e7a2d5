"""The rows of a record as negatives: what the teacher computed of every training example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.negatives import Draw, Negatives
from mentee.memory.bank import drawn_rows, shared_draw
from mentee.memory.base import DTYPES, Memory, Pair, check_count

LARGEST_TABLE = 1 << 30
"""Bytes of a module's rows; of more the negatives of each batch are read from the record."""
CHUNK = 4096
"""Rows that are read at a time."""


class RecordRows(Memory):
    r"""What a recorded teacher computed of every training example, clean: exact, never stale.

    .. math:: M_i = r_T(T(x_i))

    There is no bank of the student, no momentum and no normalizer. An anchor's positive is the
    teacher's vector of the same view, its negatives are rows of the record. The teacher's side of
    the representation must have nothing that is trained, such as `unit` of `to_teacher`.

    Args:
        names: the modules.
        groups: `[n]`, group (class) of each training example.
        width: d, entries of a row.
        read: `(module, rows [m] on the CPU) -> [m, d]`, the teacher's side for some training
            examples, on the device of `groups`; called when a batch is begun, the first time.
        negatives: K rows for a whole batch, one draw; all rows where there are no more.
        dtype: of the rows in memory: float32, float16 or bfloat16.
        seed: of the draws.

    Memory: n d numbers a module, up to 1 GiB; of more K d, read from the record for each batch.
    Nothing of it is in a checkpoint.
    """

    def __init__(
        self,
        names: Sequence[str],
        groups: Int[Tensor, " n"],
        width: int,
        read: Callable[[str, Tensor], Tensor],
        *,
        negatives: int = 16384,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(groups)
        check_count("negatives", negatives, 1)
        self.names, self.negatives, self.seed = tuple(names), negatives, seed
        self.dtype, self.tables = DTYPES[dtype], dict[str, Tensor]()
        self.fits = len(groups) * width * self.dtype.itemsize <= LARGEST_TABLE
        self._read_rows = read

    def begin(self, rows: Int[Tensor, " b"], step: int) -> None:
        """Choose the negatives of a batch; the first time, read the whole table."""
        if self.fits and not self.tables:
            self.tables = {name: self._rows_of(name, None) for name in self.names}
        super().begin(rows, step)

    def read(self, name: str, student: Tensor, teacher: Tensor) -> Negatives:
        """The negatives of module `name` for the batch begun; nothing is kept for `write`."""
        return self._negatives(name, (student.detach(), teacher.detach()))

    def _choose(self, rows: Tensor, step: int) -> Draw:
        self._drawn = drawn_rows(len(self.groups), self.negatives, self.seed, step)
        return shared_draw(self.groups, self._rows, self.negatives, self._drawn)

    def _negatives(self, name: str, keys: Pair) -> Negatives:
        draw = self._draw
        if self.fits:
            rows = self.tables[name]
        else:
            rows, draw = self._rows_of(name, self._drawn), replace(draw, rows=None)
        return Negatives(keys, (rows[:0], rows), draw)

    def _rows_of(self, name: str, rows: Tensor | None) -> Tensor:
        """The teacher's side for some training examples; None: for all."""
        rows = torch.arange(len(self.groups)) if rows is None else rows
        parts = [self._read_rows(name, part).to(self.dtype) for part in torch.split(rows, CHUNK)]
        table = torch.cat(parts)
        # Of a batch's rows on a GPU the loss will tell: here the host would wait for them.
        if (self.fits or table.device.type == "cpu") and not table.isfinite().all():
            raise MenteeError(
                f"memory record: {name} has rows that are not finite; record the teacher again, or "
                "take memory.dtype float32"
            )
        return table

    def _store(self, name: str, rows: Tensor, keys: Pair) -> None:
        """What was recorded does not change."""

    def _stored(self, rows: Tensor) -> None:
        """Nor do its groups."""

    def _tensors(self) -> dict[str, Tensor]:
        return {}
