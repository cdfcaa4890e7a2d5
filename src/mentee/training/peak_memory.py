"""The most memory that a process had at any moment of a run."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import Any

import torch

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

    Args:
        since: the result of `reset_peak`.

    Returns:
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
