"""Rows of records in memory, where there is enough of it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from mentee.errors import RunError
from mentee.free_memory import available
from mentee.records.shards import MappedRows


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
