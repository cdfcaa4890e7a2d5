"""A sharded bank is the bank, whatever the number of processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mentee.errors import RunError
from mentee.memory import Bank, ShardedBank
from tests.memory import shards
from tests.processes import Two, ended


def test_two_processes_keep_half_each_and_see_what_a_whole_bank_shows(tmp_path: Path) -> None:
    ended(Two(shards.__file__, cwd=tmp_path))


def test_one_process_keeps_a_bank() -> None:
    bank, sharded = shards.both("float32", 20)
    for number in range(3):
        assert torch.equal(shards.step(bank, number), shards.step(sharded, number))
    states = bank.state(), sharded.state()
    assert all(torch.equal(states[0][name], kept) for name, kept in states[1].items())
    assert not torch.equal(bank.stores["a"], Bank(["a"], torch.arange(61), 6, seed=3).stores["a"])


def test_the_state_of_fewer_examples_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as many as a share has rows, too."""
    state = Bank(["a"], torch.arange(20), 3).state()
    monkeypatch.setattr("mentee.memory.sharded.world", lambda: 2)
    half = ShardedBank(["a"], torch.arange(40), 3)
    assert half.stores["a"].shape == (2, 20 + half.spare, 3)
    with pytest.raises(RunError, match=r"has bank\.a \[2, 20, 3\], this run expects \[2, 40, 3\]"):
        half.load(state)
