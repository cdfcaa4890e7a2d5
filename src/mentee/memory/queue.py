"""The last vectors seen, or those of the batch alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from mentee.losses.negatives import Draw, Negatives
from mentee.memory.base import DTYPES, Memory, Pair, check_count, count_others
from mentee.parallel import gather, world


class Queue(Memory):
    """The last vectors seen, first in, first out; no row per example, so any number of examples.

    An anchor's positive is the other side's vector of the same step, its negatives are the other
    examples of the batch (of all processes) and the queue; none gets a gradient, as with a bank.

    Args:
        names: the modules.
        groups: `[n]`, group (class) of each training example.
        width: d, entries of a vector.
        negatives: K, the length of the queue; 0: the batch alone.
        dtype: of the vectors: float32, float16 or bfloat16.

    Memory: 2 K d numbers a module.
    """

    def __init__(
        self,
        names: Sequence[str],
        groups: Int[Tensor, " n"],
        width: int,
        *,
        negatives: int = 16384,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    ) -> None:
        super().__init__(groups)
        check_count("negatives", negatives, 0)
        device = groups.device
        self.length = negatives
        self.stores = {
            name: torch.zeros(2, negatives, width, device=device, dtype=DTYPES[dtype])
            for name in names
        }
        self.queued = torch.zeros(negatives, dtype=torch.int32, device=device)
        self.pushed = torch.zeros((), dtype=torch.int64)

    def _choose(self, rows: Tensor, step: int) -> Draw:
        anchors = self.groups[self._rows]
        groups = torch.cat([gather(anchors), self.queued[: self._filled()]])
        count = self.length or max(len(rows) * world() - 1, 1)
        return Draw(None, count_others(groups, anchors), groups, anchors, count, noise=1.0)

    def _filled(self) -> int:
        return min(int(self.pushed), self.length)

    def _negatives(self, name: str, keys: Pair) -> Negatives:
        student, teacher = (
            torch.cat([gather(new), old[: self._filled()].to(new.dtype)])
            for new, old in zip(keys, self.stores[name], strict=True)
        )
        return Negatives(keys, (student, teacher), self._draw)

    def _store(self, name: str, rows: Tensor, keys: Pair) -> None:
        places = self._places(len(rows))
        for queue, new in zip(self.stores[name], keys, strict=True):
            queue[places] = new[len(rows) - len(places) :].to(queue.dtype)

    def _stored(self, rows: Tensor) -> None:
        places = self._places(len(rows))
        self.queued[places] = self.groups[rows][len(rows) - len(places) :]
        self.pushed += len(rows)

    def _places(self, new: int) -> Tensor:
        """Where the last of `new` vectors go: behind the newest, round and round."""
        first = int(self.pushed) + max(new - self.length, 0)
        last = int(self.pushed) + new
        return torch.arange(first, last, device=self.queued.device) % max(self.length, 1)

    def _tensors(self) -> dict[str, Tensor]:
        queues = {f"queue.{name}": store for name, store in self.stores.items()}
        return {**queues, "queued": self.queued, "pushed": self.pushed}


def batch_only(names: Sequence[str], groups: Int[Tensor, " n"], width: int) -> Queue:
    """No memory at all: the other examples of the batch (of all processes) are the negatives.

    Args:
        names: the modules.
        groups: `[n]`, group (class) of each training example.
        width: entries of a vector.

    Returns:
        A queue of length 0.

    Memory: nothing.
    """
    return Queue(names, groups, width, negatives=0)
