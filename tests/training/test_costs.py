"""The most memory of a run, also where the process had a larger one before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mentee import train
from mentee.training import costs
from mentee.training.costs import reset_peak
from tests.conftest import digits

MB = 2**20
needs_linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")


@needs_linux
def test_what_was_before_is_forgotten_and_what_comes_is_seen() -> None:
    if not reset_peak():
        pytest.skip("this system does not let a process forget its peak")
    before = costs.resident()
    assert before is not None
    large = np.ones(200 * MB, np.uint8)
    at_most = costs.resident()
    del large
    assert at_most is not None
    assert at_most - before > 150 * MB
    assert reset_peak()
    after = costs.peak_memory(True)
    assert after["since"] == "run"
    assert after["resident"] < at_most - 100 * MB
    assert (after["gpu"] is None) == (not torch.cuda.is_available())


def test_where_it_cannot_be_forgotten_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "OWN", tmp_path / "nowhere")
    assert reset_peak() is False
    found = costs.peak_memory(False)
    assert found["since"] == "process"
    assert found["resident"] > 50 * MB  # of getrusage: this test runs on torch


def test_a_summary_says_it(tmp_path: Path) -> None:
    run = train(digits(train={"epochs": 1}), out=tmp_path / "run", quiet=True)
    assert run.summary["memory"]["resident"] > 50 * MB
    assert run.summary["memory"]["since"] in ("run", "process")
