"""A bank and a sharded one, step by step, in each of two processes; started by test_sharded."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

import mentee.memory.sharded
from mentee.losses.contrast import contrast
from mentee.memory import Bank, ShardedBank
from mentee.parallel import exit_process, rank, world
from mentee.representations import unit_norm

N, WIDTH, EACH = 61, 6, 4
"""So many examples that the shares are of 31 and 30 rows."""


def vectors(*numbers: int) -> Tensor:
    generator = torch.Generator().manual_seed(hash(numbers))
    return unit_norm(torch.randn(EACH, WIDTH, generator=generator))


def both(dtype: str, negatives: int, seed: int = 3) -> tuple[Bank, ShardedBank]:
    labels = torch.arange(N) % 5
    numbers: dict[str, Any] = {"negatives": negatives, "dtype": dtype, "seed": seed}
    return tuple(kind(["a", "b"], labels, WIDTH, **numbers) for kind in (Bank, ShardedBank))


def step(memory: Bank, number: int) -> Tensor:
    """The losses of both modules in this process, and the memory written."""
    memory.begin(rows_of(number)[rank()], number)
    losses = []
    for module in (0, 1):
        student, teacher = (vectors(number, module, side, rank()) for side in (0, 1))
        read = memory.read("ab"[module], student, teacher)
        losses.append(contrast(student, teacher, negatives=read, log_z=torch.tensor([4.0, 4.5])))
    memory.write()
    return torch.stack(losses)


def rows_of(number: int) -> Tensor:
    """Of both processes, `[2, EACH]`; rows of either share in either."""
    order = torch.randperm(N, generator=torch.Generator().manual_seed(number))
    return order[: 2 * EACH].view(2, EACH)


def same(bank: Bank, sharded: ShardedBank) -> None:
    """Each process keeps its rows of the bank; the first one's state is the whole of it."""
    whole, state = bank.state(), sharded.state()
    assert state.keys() == whole.keys()
    for name, store in bank.stores.items():
        mine = store[:, :31] if rank() == 0 else store[:, 31:]
        assert torch.equal(sharded.stores[name][:, : len(sharded.held)], mine)
        if rank() == 0:
            assert torch.equal(state[f"bank.{name}"], whole[f"bank.{name}"])


def main() -> None:
    """Both through some steps, and the state of the one loaded by another."""
    Accelerator(cpu=True)
    assert world() == 2
    mentee.memory.sharded.BLOCK = 7  # the last block of a share is smaller
    for dtype, negatives in product(("float32", "float16", "bfloat16"), (20, 61)):
        bank, sharded = both(dtype, negatives)
        assert [len(store[0]) for store in sharded.stores.values()] == [31 - rank() + 1] * 2
        same(bank, sharded)
        for number in range(4):
            torch.testing.assert_close(step(sharded, number), step(bank, number), atol=0, rtol=1e-6)
        same(bank, sharded)
        state, other = bank.state(), both(dtype, negatives, seed=4)[1]
        other.load(state)
        same(bank, other)
    exit_process(0)


if __name__ == "__main__":
    main()
