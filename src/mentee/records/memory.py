"""Rows of records in memory, where there is enough of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mentee.errors import RunError
from mentee.records.shards import MappedRows

_CGROUPS = (  # a container's limit, what it uses, and its statistics: version 2, version 1
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def load(parts: Iterable[MappedRows], *, name: str) -> None:
    """Copy the rows of records into memory, each process for itself.

    Args:
        parts: which; where CUDA is there their memory is pinned.
        name: what to call them.

    Raises:
        RunError: there is not enough memory; nothing was copied then.

    Memory: as many bytes as the rows have on disk.
    """
    parts = list(parts)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    size = processes * sum(each.part.bytes for each in parts)
    free = available()
    advice = "leave it out, and the rows are read where they lie"
    if free is not None and size > free:
        shared = f" for {processes} processes" if processes > 1 else ""
        raise RunError(
            f"teacher.in_memory: {name} needs {size / 1e6:,.1f} MB{shared} and {free / 1e6:,.1f} "
            f"MB are available; {advice}, or record fewer bytes (--dtype, --pca, --top-k)"
        )
    try:
        for each in parts:
            each.load()
    except MemoryError as error:
        raise RunError(f"teacher.in_memory: {name} does not fit into memory; {advice}") from error


def available(root: Path = Path("/")) -> int | None:
    """Bytes of memory that are free without swapping, or None where the system does not tell.

    The least of what the machine has and of what the container is allowed; pages of files that are
    not in use do not count as used.

    Args:
        root: where `proc` and `sys` are.
    """
    limits = []
    machine = _fields(root / "proc/meminfo").get("MemAvailable:")
    if machine is not None:
        limits.append(machine * 1024)
    for limit, used, statistics in _CGROUPS:
        folder = root / "sys/fs/cgroup"
        most, now = (_number(folder / each) for each in (limit, used))
        if most is not None and now is not None:
            stat = _fields(folder / statistics)
            files = stat.get("total_inactive_file", stat.get("inactive_file", 0))
            limits.append(max(most - now + files, 0))
    return min(limits, default=None)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such file, or `max`
        return None


def _fields(path: Path) -> dict[str, int]:
    """`{"MemAvailable:": 1024}` of lines that are a name and a number."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines]
    return {each[0]: int(each[1]) for each in fields if len(each) > 1 and each[1].isdecimal()}
