"""What banks and queues share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mentee.errors import MenteeError, RunError
from mentee.losses.negatives import Draw, Negatives
from mentee.parallel import gather
from mentee.types import on_device

Pair = tuple[Tensor, Tensor]
"""(student's side, teacher's side)"""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Memory(ABC):
    """What banks and queues share: normalizers, and writes that wait for the step's end."""

    def __init__(self, groups: Int[Tensor, " n"]) -> None:
        self.groups = groups.to(torch.int32)
        self.log_z: dict[str, Tensor] = {}
        self._read: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
        self._rows = torch.empty(0, dtype=torch.int64)

    def begin(self, rows: Int[Tensor, " b"], step: int) -> None:
        """Choose the negatives of a batch; call it before the batch's `read`.

        Args:
            rows: where the batch's examples stand in the training set, `[b]`, on the CPU.
            step: optimizer steps done so far; with the seed it fixes the draw.
        """
        self._rows = on_device(rows, self.groups.device)
        self._draw = self._choose(rows, step)

    def read(self, name: str, student: Tensor, teacher: Tensor) -> Negatives:
        """The negatives of module `name` for the batch begun; its vectors are kept for `write`."""
        keys = (student.detach(), teacher.detach())
        self._read.setdefault(name, []).append((self._rows, *keys))
        return self._negatives(name, keys)

    def write(self) -> None:
        """Take in all that was read since the last write; call it after the optimizer step."""
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
        own, sizes = self._tensors(), {key: list(value.shape) for key, value in state.items()}
        for key in [key for key in own | state if not key.startswith("log_z.")]:
            had, has = (x.get(key, "no such entry") for x in (sizes, self._sizes()))
            if had != has:
                raise RunError(
                    f"the checkpoint's memory has {key} {had}, this run expects {has}; "
                    "resume with the recipe, the data and the number of examples it began with"
                )
        for key, value in state.items():
            if key in own:
                own[key].copy_(self._part(value))
            else:
                self.log_z[key.removeprefix("log_z.")] = value.cpu()

    def _sizes(self) -> dict[str, list[int]]:
        """Of the tensors that all processes hold together."""
        return {key: list(value.shape) for key, value in self._tensors().items()}

    def _part(self, value: Tensor) -> Tensor:
        """What this process holds of one of them."""
        return value

    @abstractmethod
    def _choose(self, rows: Tensor, step: int) -> Draw:
        """The negatives of a batch, whose `rows` are on the CPU; on the device: `self._rows`."""

    @abstractmethod
    def _negatives(self, name: str, keys: Pair) -> Negatives: ...

    @abstractmethod
    def _store(self, name: str, rows: Tensor, keys: Pair) -> None: ...

    @abstractmethod
    def _stored(self, rows: Tensor) -> None: ...

    @abstractmethod
    def _tensors(self) -> dict[str, Tensor]: ...


def count_others(groups: Tensor, anchors: Tensor) -> Float[Tensor, " b"]:
    """How many of `groups` are not the anchor's own, for each anchor."""
    ordered = groups.sort().values
    first = torch.searchsorted(ordered, anchors)
    last = torch.searchsorted(ordered, anchors, right=True)
    return (len(groups) - (last - first)).float()


MOST = 10_000_000
"""Negatives; those of ImageNet would be 1,281,167."""


def check_count(name: str, value: int, least: int) -> None:
    """Refuse a number that is too small, or larger than any memory."""
    if not least <= value <= MOST:
        raise MenteeError(
            f"memory: {name} is {value}, expected at least {least} and at most {MOST:,}"
        )
