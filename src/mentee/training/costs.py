"""What a run costs: the seconds of each step, and the most memory that its process had."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mentee.types import Step

OWN = Path("/proc/self")


def reset_peak() -> bool:
    """Reset the peaks; whether that worked, as a process may have had other runs before.

    Only Linux can reset the largest resident size of a process.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        (OWN / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory(since: bool) -> dict[str, Any]:
    """The largest sizes in bytes, and whether they are of the time since `reset_peak`.

    `resident`: of the whole process, with its libraries and data; None where the system does
    not tell. `gpu`: allocated by torch; None without one. `since`: `run`, or `process` where
    the resident size may be that of an earlier run of the same process.
    """
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {"resident": resident(), "gpu": gpu, "since": "run" if since else "process"}


def resident() -> int | None:
    """The largest resident size of this process, in bytes."""
    with contextlib.suppress(OSError):
        match = re.search(r"VmHWM:\s+(\d+) kB", (OWN / "status").read_text())
        if match:
            return 1024 * int(match[1])
    with contextlib.suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def timed(steps: Iterator[Step]) -> Iterator[tuple[Step, float]]:
    """Each step with the seconds it took, without those that the caller takes in between."""
    began = time.perf_counter()
    for step in steps:
        yield step, time.perf_counter() - began
        began = time.perf_counter()
