"""A row for every training example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.negatives import Draw, Negatives
from mentee.memory.base import DTYPES, Memory, Pair, check_count, count_others
from mentee.types import on_device

FULL_PERMUTATION = 1 << 18
"""Up to so many examples a draw is without replacement."""
BLOCK = 1 << 14
"""So many rows are drawn or sent at a time."""


class Bank(Memory):
    r"""One row for every training example and module, moved toward what was last seen.

    .. math:: M_i \leftarrow \mathrm{normalize}(m M_i + (1 - m) g_i), \quad
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
        dtype: of the rows: float32, float16 or bfloat16.
        seed: of the first rows and of the draws.

    Memory: 2 n d numbers a module. Source: arXiv:1910.10699.
    """

    spare = 0
    """Rows of a store behind those that are kept."""

    def __init__(
        self,
        names: Sequence[str],
        groups: Int[Tensor, " n"],
        width: int,
        *,
        negatives: int = 16384,
        draw: Literal["shared", "exact"] = "shared",
        momentum: float = 0.5,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(groups)
        check_count("negatives", negatives, 1)
        if not 0 <= momentum < 1:
            raise MenteeError(f"memory: momentum is {momentum}, expected at least 0 and below 1")
        self.negatives, self.exact, self.momentum = negatives, draw == "exact", momentum
        self.seed = seed
        self._at_host = self.groups.cpu()  # where negatives are drawn
        self.held = self._share(len(groups))
        self.stores: dict[str, Tensor] = {}
        for number, name in enumerate(names):
            size = (2, len(self.held) + self.spare, width)
            store = torch.empty(size, device=groups.device, dtype=DTYPES[dtype])
            _fill(store, self.held, len(groups), _generator(seed, -1, number))
            self.stores[name] = store

    def _share(self, examples: int) -> range:
        """The rows that this process keeps."""
        return range(examples)

    def _choose(self, rows: Tensor, step: int) -> Draw:
        if not self.exact:
            drawn = drawn_rows(len(self.groups), self.negatives, self.seed, step)
            return shared_draw(self.groups, self._rows, self.negatives, drawn)
        device = self.groups.device
        drawn = on_device(torch.stack([self._others(int(row), step) for row in rows]), device)
        at_hand = torch.full((len(rows),), float(self.negatives), device=device)
        noise = self.negatives / len(self.groups)
        return Draw(drawn, at_hand, None, None, self.negatives, noise)

    def _others(self, row: int, step: int) -> Tensor:
        """K rows of other groups than that of `row`, the same whichever process draws them."""
        others = (self._at_host != self._at_host[row]).nonzero()[:, 0]
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
        store = self.stores[name]
        own = store[:, self._rows]
        return Negatives((own[0], own[1]), (store[0], store[1]), self._draw)

    def _store(self, name: str, rows: Tensor, keys: Pair) -> None:
        store, new = self.stores[name], torch.stack(keys)
        moved = store[:, rows].to(new.dtype).mul_(self.momentum).add_(new, alpha=1 - self.momentum)
        store[:, rows] = F.normalize(moved, dim=2).to(store.dtype)

    def _stored(self, rows: Tensor) -> None:
        """A bank keeps nothing beside its vectors."""

    def _tensors(self) -> dict[str, Tensor]:
        kept = len(self.held)
        return {f"bank.{name}": store[:, :kept] for name, store in self.stores.items()}


def drawn_rows(examples: int, negatives: int, seed: int, step: int) -> Tensor | None:
    """Rows for a whole batch, on the CPU, in order: so the gather reads ahead.

    Args:
        examples: of how many.
        negatives: how many are drawn.
        seed: with `step` it fixes the draw, in whichever process.
        step: optimizer steps done.

    Returns:
        `[negatives]`; None: all, where there are no more.
    """
    if examples <= negatives:
        return None
    generator = _generator(seed, step)
    if examples <= FULL_PERMUTATION:
        drawn = torch.randperm(examples, generator=generator)[:negatives]
    else:  # a permutation of millions would cost more than the step
        drawn = torch.randint(examples, (negatives,), generator=generator)
    return drawn.sort().values


def shared_draw(
    groups: Int[Tensor, " n"], rows: Int[Tensor, " b"], negatives: int, drawn: Tensor | None
) -> Draw:
    """One draw of rows for a whole batch, from `drawn_rows`; `rows` are the batch's own."""
    examples, anchors = len(groups), groups[rows]
    if drawn is not None:
        drawn = on_device(drawn, groups.device)
        groups = groups[drawn]
    at_hand = count_others(groups, anchors)
    return Draw(drawn, at_hand, groups, anchors, negatives, negatives / examples)


def _fill(store: Tensor, held: range, examples: int, generator: torch.Generator) -> None:
    """Draw the first rows of all examples, block by block, and keep those that are held here."""
    width = store.shape[-1]
    reach = (width / 3) ** -0.5
    for side in store:
        for start in range(0, examples, BLOCK):
            block = range(start, min(start + BLOCK, examples))
            rows = torch.rand(len(block), width, generator=generator).mul_(2 * reach).sub_(reach)
            first, last = max(block.start, held.start), min(block.stop, held.stop)
            if first < last:
                kept = rows[first - start : last - start]
                side[first - held.start : last - held.start] = kept.to(side.device, side.dtype)


def _generator(*numbers: int) -> torch.Generator:
    """A generator fixed by some whole numbers, unrelated for different ones."""
    state = np.random.SeedSequence([number & 0xFFFFFFFF for number in numbers])
    return torch.Generator().manual_seed(int(state.generate_state(1, np.uint64)[0] >> 1))
