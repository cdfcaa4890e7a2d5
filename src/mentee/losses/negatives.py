"""What a batch is contrasted with: which rows of a memory, and who may not be whose negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.matmul import multiplies_halves

LARGEST_MASK = 1 << 22


@dataclass(frozen=True)
class Draw:
    """Which rows of a bank are negatives for a batch; one draw serves every module of a method.

    Attributes:
        rows: numbers of the rows: `[m]` shared by the whole batch, `[b, m]` one draw per anchor,
            None: all rows, shared.
        at_hand: `[b]`, how many of the shared rows are negatives for each anchor.
        groups: `[m]`, group of each shared row; one in the anchor's own group is no negative.
        anchors: `[b]`, group of each anchor; goes with `groups`.
        count: K, the number of negatives an anchor stands for. Where other than K are at hand,
            their sum is scaled to K, which leaves the expectation as it is.
        noise: c = K / N, with N the number of examples.
        masks: filled by `mask`, so that all modules share it.
    """

    rows: Int[Tensor, "..."] | None
    at_hand: Float[Tensor, " b"]
    groups: Int[Tensor, " m"] | None
    anchors: Int[Tensor, " b"] | None
    count: int
    noise: float
    masks: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def mask(self, start: int, stop: int, dtype: torch.dtype) -> Tensor | None:
        """1 where a shared row is a negative of an anchor, else 0: `[b, stop - start]`.

        None where all are. It is the same for every module and direction, and costs as much as
        the exponentials, so it is kept while the whole of it has no more than 2²² entries.
        """
        if self.groups is None or self.anchors is None:
            return None
        mask = self.masks.get((start, stop))
        if mask is None or mask.dtype != dtype:
            mask = (self.groups[None, start:stop] != self.anchors[:, None]).to(dtype)
            if len(self.groups) * len(self.anchors) <= LARGEST_MASK:
                self.masks[start, stop] = mask
        return mask


@dataclass(frozen=True)
class Negatives:
    """What a batch is contrasted with, for both directions; constants, no gradient reaches them.

    Attributes:
        positives: the row of each anchor's own example, `[b, d]`: (student's side, teacher's side).
        banks: where negatives are taken from, `[n, d]` each: (student's side, teacher's side); the
            student's has no rows where its vectors are not kept.
        draw: which rows of the banks are negatives.
    """

    positives: tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]
    banks: tuple[Float[Tensor, "sn d"], Float[Tensor, "tn d"]]
    draw: Draw


def check_shared(name: str, negatives: Negatives) -> None:
    """Refuse a draw of other rows for each anchor.

    Raises:
        MenteeError: it is one.
    """
    drawn = negatives.draw.rows
    if drawn is not None and drawn.ndim != 1:
        raise MenteeError(
            f"{name}: the memory draws other rows for each example, expected rows that all share; "
            "use the queue, or a bank with draw=shared"
        )


def chunks(
    bank: Tensor, draw: Draw, dtype: torch.dtype, chunk: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The shared negative rows `[<= chunk, d]`, in one reused buffer, with their mask.

    Rows come in `dtype`, unless they are kept in bfloat16, `dtype` is float32 and products of
    bfloat16 are the quicker ones: then as they are.
    """
    halves = (bank.dtype, dtype) == (torch.bfloat16, torch.float32)
    compute_dtype = torch.bfloat16 if halves and multiplies_halves(bank.device) else dtype
    total = len(bank) if draw.rows is None else len(draw.rows)
    buffer = bank.new_empty(0 if draw.rows is None else min(chunk, total), bank.shape[1])
    for start in range(0, total, chunk):
        stop = min(start + chunk, total)
        if draw.rows is None:
            taken = bank[start:stop]
        else:
            taken = torch.index_select(bank, 0, draw.rows[start:stop], out=buffer[: stop - start])
        yield taken.to(compute_dtype), draw.mask(start, stop, dtype)
