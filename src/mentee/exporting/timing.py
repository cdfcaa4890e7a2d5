"""Seconds of several functions, measured in turn, so that what else runs slows down all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SIZES = (1, 32)
"""Examples of a batch: one, of which the latency is measured, and many, for the throughput."""
CALLS = {1: 5, 32: 1}
"""How often a batch of each size is run in one turn."""


def measure_in_turn(
    runs: Mapping[str, Callable[[int], Any]], rounds: int
) -> dict[str, dict[int, list[float]]]:
    """Seconds of each call, by name and size of the batch.

    In each round every function is run once without being timed, then `CALLS` times with each size.

    Args:
        runs: functions of the size of a batch, by name.
        rounds: how many turns each has.
    """
    seconds: dict[str, dict[int, list[float]]] = {n: {s: [] for s in SIZES} for n in runs}
    for name in runs:
        for size in SIZES:
            runs[name](size)  # what is made at the first call
    for _ in range(rounds):
        for name, run in runs.items():
            run(1)  # threads of the one before come to rest
            for size in SIZES:
                for _ in range(CALLS[size]):
                    began = time.perf_counter()
                    run(size)
                    seconds[name][size].append(time.perf_counter() - began)
    return seconds


def milliseconds(seconds: list[float], percentile: float = 50) -> float:
    """A percentile of some times, in milliseconds."""
    return float(np.percentile(seconds, percentile)) * 1000
