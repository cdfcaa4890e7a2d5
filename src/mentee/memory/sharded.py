"""A bank whose rows are shared out among the processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from mentee.losses.negatives import Draw, Negatives
from mentee.memory.bank import BLOCK, Bank
from mentee.memory.base import Pair
from mentee.parallel import all_reduce_sum, gather, gather_shards, rank, world


class ShardedBank(Bank):
    r"""A bank of which each process keeps a part of the rows; else as `bank` with a shared draw.

    All processes draw the same K rows. Before the losses of a batch each of them fills in, for all
    modules at once, those of the drawn rows and of the batch's own rows that it keeps, and zeros
    for the others; their sum over the processes is what all of them see. What a step has changed
    is written by the process that keeps it. In one process it is a bank.

    Args:
        names: the modules.
        groups: `[n]`, group (class) of each training example; every process has all of them.
        width: d, entries of a row.
        negatives: K, negatives an anchor stands for; one draw of K rows for the whole batch.
        momentum: m in [0, 1).
        dtype: of the rows: float32, float16 or bfloat16.
        seed: of the first rows and of the draws.

    Memory: 2 n d / processes numbers a module; while a step runs 2 (K + b) d. A checkpoint is
    the whole bank, put together in the first process's main memory.
    """

    spare = 1  # takes what other processes keep, so that the host need not know what that is

    def __init__(
        self,
        names: Sequence[str],
        groups: Int[Tensor, " n"],
        width: int,
        *,
        negatives: int = 16384,
        momentum: float = 0.5,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(
            names, groups, width, negatives=negatives, momentum=momentum, dtype=dtype, seed=seed
        )
        self._at_hand: dict[str, Tensor] = {}

    def _share(self, examples: int) -> range:
        return shares(examples)[rank()]

    def _choose(self, rows: Tensor, step: int) -> Draw:
        """The draw, after its rows and those of the batches of all processes were put together."""
        draw = super()._choose(rows, step)
        drawn = torch.arange(len(self.groups), device=self._rows.device)
        drawn = drawn if draw.rows is None else draw.rows
        places = self._places(torch.cat([drawn, gather(self._rows)]))
        own = (places < len(self.held))[:, None]
        at_hand = [torch.where(own, store[:, places], 0) for store in self.stores.values()]
        summed = all_reduce_sum(torch.stack(at_hand))
        self._at_hand = dict(zip(self.stores, summed, strict=True))
        return replace(draw, rows=None)

    def _negatives(self, name: str, keys: Pair) -> Negatives:
        student, teacher = self._at_hand[name]
        drawn, offset = len(student) - len(self._rows) * world(), len(self._rows) * rank()
        own = slice(drawn + offset, drawn + offset + len(self._rows))
        positives = (student[own], teacher[own])
        return Negatives(positives, (student[:drawn], teacher[:drawn]), self._draw)

    def _store(self, name: str, rows: Tensor, keys: Pair) -> None:
        super()._store(name, self._places(rows), keys)

    def _places(self, rows: Tensor) -> Tensor:
        """Where rows stand among those that are kept here; of others the spare row."""
        held = (rows >= self.held.start) & (rows < self.held.stop)
        return torch.where(held, rows - self.held.start, len(self.held))

    def state(self) -> dict[str, Tensor]:
        """Everything that changes while training; of the rows only the first process has all.

        Every process has to call it.
        """
        parts = shares(len(self.groups))
        whole = {key: gather_shards(store, parts, BLOCK) for key, store in self._tensors().items()}
        return super().state() | whole

    def _sizes(self) -> dict[str, list[int]]:
        return {k: [2, len(self.groups), x.shape[-1]] for k, x in self._tensors().items()}

    def _part(self, value: Tensor) -> Tensor:
        return value[:, self.held.start : self.held.stop]


def shares(examples: int) -> list[range]:
    """Which rows each process keeps: as many each, but for the last."""
    piece = -(-examples // world())
    ends = [min(number * piece, examples) for number in range(world() + 1)]
    return [range(*each) for each in pairwise(ends)]
