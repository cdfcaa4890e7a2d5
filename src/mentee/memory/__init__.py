"""Negatives kept across steps. A memory is read before a step and written after it.

All modules of a method share one memory: the same rows are their negatives (one draw a batch),
each module has vectors of its own. Every process holds the same memory, or of a sharded one a
part, and writes what all have gathered.
"""

from __future__ import annotations

from collections.abc import Callable

from mentee.memory.bank import Bank
from mentee.memory.base import Memory
from mentee.memory.queue import Queue, batch_only
from mentee.memory.record_rows import RecordRows
from mentee.memory.sharded import ShardedBank

__all__ = ["MEMORIES", "Bank", "Memory", "Queue", "RecordRows", "ShardedBank", "batch_only"]

MEMORIES: dict[str, Callable[..., Memory]] = {
    "bank": Bank,
    "sharded_bank": ShardedBank,
    "queue": Queue,
    "batch": batch_only,
    "record": RecordRows,
}
"""Every memory by name: `(names, groups, width, **numbers) -> Memory`; one with a parameter `read`
gets the reader of a record before its numbers."""
