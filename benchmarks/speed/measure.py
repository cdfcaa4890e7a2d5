"""Ratios of times taken in turn, and growth of memory: what a noisy machine can still measure."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mentee.runs.environment import commit


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call, A B C A B C …, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - began))
    return times


def summary(times: Mapping[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Median milliseconds of each call, and the median of its ratios to `base`, round by round."""
    return {
        name: {
            "median_ms": round(statistics.median(each), 2),
            f"times_{base}": round(
                statistics.median(a / b for a, b in zip(each, times[base], strict=True)), 3
            ),
        }
        for name, each in times.items()
    }


def peak_growth(work: Callable[[], Callable[[], object]]) -> float:
    """By how many MB a call raises the peak memory of a process of its own.

    Args:
        work: a picklable function that sets everything up, warms the libraries on something small
            and returns the call to be measured.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_growth, (work,))


def _growth(work: Callable[[], Callable[[], object]]) -> float:
    call = work()
    # Linux: forget the peak of the set-up, so that the call's own is left.
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(which: str) -> float:
    """Resident memory of this process, now (VmRSS) or at its peak (VmHWM), MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{which}:")[2].split()[0]) / 1024


def environment() -> dict[str, object]:
    """What the numbers were measured on."""
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
