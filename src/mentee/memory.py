"""Negatives kept across steps. A memory is read before a step and written after it.

All modules of a method share one memory: the same rows are their negatives (one draw a batch),
each module has vectors of its own. Every process holds the same memory and writes what all have
gathered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mentee.agree.contrast import Draw, Negatives
from mentee.errors import MenteeError, RunError
from mentee.parallel import gather, world

Pair = tuple[Tensor, Tensor]
"""(student's side, teacher's side)"""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
FULL_PERMUTATION = 1 << 18


class Memory(ABC):
    """What banks and queues share: normalisers, and writes that wait for the step's end."""

    def __init__(self, groups: Int[Tensor, " n"]) -> None:
        self.groups = groups.to(torch.int32)
        self.log_z: dict[str, Tensor] = {}
        self._read: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
        self._rows = torch.empty(0, dtype=torch.int64)

    def begin(self, rows: Int[Tensor, " b"], step: int) -> None:
        """Choose the negatives of a batch; call it before the batch's `read`.

        Args:
            rows: where the batch's examples stand in the training set, `[b]`.
            step: optimiser steps done so far; with the seed it fixes the draw.
        """
        self._rows = rows
        self._draw = self._choose(rows, step)

    def read(self, name: str, student: Tensor, teacher: Tensor) -> Negatives:
        """The negatives of module `name` for the batch begun; its vectors are kept for `write`."""
        keys = (student.detach(), teacher.detach())
        self._read.setdefault(name, []).append((self._rows, *keys))
        return self._negatives(name, keys)

    def write(self) -> None:
        """Take in all that was read since the last write; call it after the optimiser step."""
        rows = torch.empty(0, dtype=torch.int64)
        for name, reads in self._read.items():
            rows, *keys = (gather(torch.cat(parts)) for parts in zip(*reads, strict=True))
            self._store(name, rows, (keys[0], keys[1]))
        if len(rows):
            self._stored(rows)
        self._read = {}

    def state(self) -> dict[str, Tensor]:
        """Everything that changes while training."""
        return {f"log_z.{name}": z for name, z in self.log_z.items()} | self._tensors()

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that `state` gave."""
        own = self._tensors()
        for key in [key for key in own | state if not key.startswith("log_z.")]:
            had, has = (list(x[key].shape) if key in x else "no such entry" for x in (state, own))
            if had != has:
                raise RunError(
                    f"the checkpoint's memory has {key} {had}, this run expects {has}; "
                    "resume with the recipe, the data and the number of examples it began with"
                )
        for key, value in state.items():
            if key in own:
                own[key].copy_(value)
            else:
                self.log_z[key.removeprefix("log_z.")] = value.to(self.groups.device)

    @abstractmethod
    def _choose(self, rows: Tensor, step: int) -> Draw: ...

    @abstractmethod
    def _negatives(self, name: str, keys: Pair) -> Negatives: ...

    @abstractmethod
    def _store(self, name: str, rows: Tensor, keys: Pair) -> None: ...

    @abstractmethod
    def _stored(self, rows: Tensor) -> None: ...

    @abstractmethod
    def _tensors(self) -> dict[str, Tensor]: ...


class Bank(Memory):
    r"""One row for every training example and module, moved towards what was last seen.

    .. math:: M_i \leftarrow \mathrm{normalise}(m M_i + (1 - m) g_i), \quad
              M_i \sim U(-a, a), \; a = 1 / \sqrt{d / 3} \text{ at first}

    Args:
        names: the modules.
        groups: `[n]`, group (class) of each training example; without classes, numbers all unlike.
        width: d, entries of a row.
        negatives: K, negatives an anchor stands for.
        draw: `shared`, one draw of K rows for the whole batch, of which each anchor leaves out
            those of its own group; where the bank has no more than K rows, it is the whole bank.
            `exact`, K rows of other groups for each anchor, without replacement where there are
            as many (as published; needs K d numbers an anchor and module).
        momentum: m in [0, 1).
        positives: `bank`, the example's own row, an epoch old (as published); `batch`, the other
            side's vector of the same step, as a queue has it: of use where epochs are few.
        dtype: of the rows: float32, float16 or bfloat16.
        seed: of the first rows and of the draws.

    Memory: 2 n d numbers a module. Source: arXiv:1910.10699.
    """

    def __init__(
        self,
        names: Sequence[str],
        groups: Int[Tensor, " n"],
        width: int,
        *,
        negatives: int = 16384,
        draw: Literal["shared", "exact"] = "shared",
        momentum: float = 0.5,
        positives: Literal["bank", "batch"] = "bank",
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(groups)
        _check_count("negatives", negatives, 1)
        if not 0 <= momentum < 1:
            raise MenteeError(f"memory: momentum is {momentum}, expected at least 0 and below 1")
        self.negatives, self.exact, self.momentum = negatives, draw == "exact", momentum
        self.fresh, self.seed = positives == "batch", seed
        self.stores: dict[str, Tensor] = {}
        reach = (width / 3) ** -0.5
        for number, name in enumerate(names):
            rows = torch.rand(2, len(groups), width, generator=_generator(seed, -1, number))
            rows = rows.mul_(2 * reach).sub_(reach)
            self.stores[name] = rows.to(groups.device, DTYPES[dtype])

    def _choose(self, rows: Tensor, step: int) -> Draw:
        examples, device = len(self.groups), self.groups.device
        noise, anchors = self.negatives / examples, self.groups[rows]
        if self.exact:
            drawn = torch.stack([self._others(int(row), step) for row in rows]).to(device)
            at_hand = torch.full((len(rows),), float(self.negatives), device=device)
            return Draw(drawn, at_hand, None, None, self.negatives, noise)
        if examples <= self.negatives:
            chosen, groups = None, self.groups
        else:
            generator = _generator(self.seed, step)
            if examples <= FULL_PERMUTATION:
                drawn = torch.randperm(examples, generator=generator)[: self.negatives]
            else:  # a permutation of millions would cost more than the step
                drawn = torch.randint(examples, (self.negatives,), generator=generator)
            chosen = drawn.sort().values.to(device)  # in order: the gather reads ahead
            groups = self.groups[chosen]
        at_hand = _count_others(groups, anchors)
        return Draw(chosen, at_hand, groups, anchors, self.negatives, noise)

    def _others(self, row: int, step: int) -> Tensor:
        """K rows of other groups than that of `row`, the same whichever process draws them."""
        others = (self.groups != self.groups[row]).nonzero()[:, 0].cpu()
        generator = _generator(self.seed, step, row)
        if not len(others):
            raise MenteeError(
                "memory: all training examples are of one class, so there are no negatives; "
                "set memory.class_aware to false"
            )
        if len(others) >= self.negatives:
            return others[torch.randperm(len(others), generator=generator)[: self.negatives]]
        return others[torch.randint(len(others), (self.negatives,), generator=generator)]

    def _negatives(self, name: str, keys: Pair) -> Negatives:
        student, teacher = self.stores[name]
        own = keys if self.fresh else (student[self._rows], teacher[self._rows])
        return Negatives(own, (student, teacher), self._draw)

    def _store(self, name: str, rows: Tensor, keys: Pair) -> None:
        for bank, new in zip(self.stores[name], keys, strict=True):
            moved = bank[rows].to(new.dtype).mul_(self.momentum).add_(new, alpha=1 - self.momentum)
            bank[rows] = F.normalize(moved, dim=1).to(bank.dtype)

    def _stored(self, rows: Tensor) -> None:
        """A bank keeps nothing beside its vectors."""

    def _tensors(self) -> dict[str, Tensor]:
        return {f"bank.{name}": store for name, store in self.stores.items()}


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
        _check_count("negatives", negatives, 0)
        device = groups.device
        self.length = negatives
        self.stores = {
            name: torch.zeros(2, negatives, width, device=device, dtype=DTYPES[dtype])
            for name in names
        }
        self.queued = torch.zeros(negatives, dtype=torch.int32, device=device)
        self.pushed = torch.zeros((), dtype=torch.int64)

    def _choose(self, rows: Tensor, step: int) -> Draw:
        anchors = self.groups[rows]
        groups = torch.cat([gather(anchors), self.queued[: self._filled()]])
        count = self.length or max(len(rows) * world() - 1, 1)
        return Draw(None, _count_others(groups, anchors), groups, anchors, count, noise=1.0)

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


def batch_only(
    names: Sequence[str],
    groups: Int[Tensor, " n"],
    width: int,
    *,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
) -> Queue:
    """No memory at all: the other examples of the batch (of all processes) are the negatives.

    Args:
        names: the modules.
        groups: `[n]`, group (class) of each training example.
        width: entries of a vector.
        dtype: unused length-0 storage; float32.

    Returns:
        A queue of length 0.
    """
    return Queue(names, groups, width, negatives=0, dtype=dtype)


MEMORIES: dict[str, Callable[..., Memory]] = {"bank": Bank, "queue": Queue, "batch": batch_only}
"""Every memory by name: `(names, groups, width, **numbers) -> Memory`."""


def _count_others(groups: Tensor, anchors: Tensor) -> Float[Tensor, " b"]:
    """How many of `groups` are not the anchor's own, for each anchor."""
    ordered = groups.sort().values
    first = torch.searchsorted(ordered, anchors)
    last = torch.searchsorted(ordered, anchors, right=True)
    return (len(groups) - (last - first)).float()


def _generator(*numbers: int) -> torch.Generator:
    """A generator fixed by some whole numbers, unrelated for different ones."""
    state = np.random.SeedSequence([number & 0xFFFFFFFF for number in numbers])
    return torch.Generator().manual_seed(int(state.generate_state(1, np.uint64)[0] >> 1))


def _check_count(name: str, given: int, least: int) -> None:
    if given < least:
        raise MenteeError(f"memory: {name} is {given}, expected at least {least}")
