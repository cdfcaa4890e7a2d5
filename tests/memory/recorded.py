"""A contrast with the rows of a record, in each of two processes; started by test_record_rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from mentee.distillation.objective import DistillationLoss
from mentee.methods import Component, Method, Term
from mentee.parallel import all_reduce_sum, exit_process, rank, world
from mentee.types import Batch, Features

N, GROUPS = 20, torch.arange(20) % 3
ROWS = [3, 0, 19, 8]
STUDENT, TEACHER = (
    torch.randn(N, width, generator=torch.Generator().manual_seed(width)) for width in (4, 6)
)


def bound(negatives: int = N) -> DistillationLoss:
    """A student of 4 entries and a recorded teacher of 6."""
    representation = Component("unit", of=Component("to_teacher", {"scale": "none"}))
    memory = Component("record", {"negatives": negatives})
    term = Term("embedding", Component("info_nce"), 1.0, representation, memory)

    def clean_rows(rows: Tensor, columns: Sequence[str]) -> Features:
        assert columns[0] == "embedding"
        return {"embedding": TEACHER[rows]}

    return DistillationLoss(
        Method("own", (term,)),
        {"embedding": (4,)},
        {"embedding": (6,)},
        groups=GROUPS,
        examples=N,
        clean_rows=clean_rows,
        seed=1,
    )


def one_step(criterion: DistillationLoss, rows: Sequence[int], number: int = 0) -> Tensor:
    """The loss of a batch."""
    index = torch.tensor(rows)
    outputs = criterion.precompute({"embedding": TEACHER[index]})
    batch = Batch(torch.zeros(len(rows), 1), index, index, GROUPS[index])
    criterion.begin(batch, number)
    (loss,) = criterion({"embedding": STUDENT[index]}, outputs, batch).values()
    criterion.write()
    return loss


def main() -> None:
    """Both halves of a batch, against the whole batch in one process."""
    whole, half = bound(7), bound(7)  # before there are processes the seed is the same
    Accelerator(cpu=True)
    assert world() == 2
    for number in range(3):
        expected = one_step(whole, ROWS, number)
        own = one_step(half, ROWS[2 * rank() : 2 * rank() + 2], number)
        both = own.detach().clone()
        torch.testing.assert_close(all_reduce_sum(both) / 2, expected.detach())
        slopes = (
            torch.autograd.grad(x, [*c.parameters()]) for c, x in ((half, own), (whole, expected))
        )
        for part, of_whole in zip(*slopes, strict=True):
            torch.testing.assert_close(all_reduce_sum(part) / 2, of_whole)
    exit_process(0)


if __name__ == "__main__":
    main()
