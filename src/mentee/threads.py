"""Work in threads that a signal may stop: its handler runs while they hold no lock."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
NUMBERS = (signal.SIGINT, signal.SIGTERM)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back; their handlers are called at the end.

    A `threading.Condition`, which futures and semaphores wait with, is entered in Python: a handler
    that raises at that moment leaves it locked. The thread that wants it next then waits for ever,
    and so does the process, which joins its threads before it ends.
    """
    before = {number: signal.getsignal(number) for number in NUMBERS}
    if threading.current_thread() is not threading.main_thread() or None in before.values():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    try:
        for number in NUMBERS:
            if callable(before[number]):  # else it ends the process at once, or is ignored
                signal.signal(number, note)
        yield
    finally:
        try:
            signal.signal(signal.SIGINT, before[signal.SIGINT])
        finally:  # also where that one has come meanwhile
            signal.signal(signal.SIGTERM, before[signal.SIGTERM])
        for each in came:
            signal.raise_signal(each)


def map_in_threads(
    pool: Executor, function: Callable[..., T], *columns: Iterable[Any]
) -> Iterator[T]:
    """As `pool.map`; a signal is handled between two results."""
    with held_signals():
        results = iter(pool.map(function, *columns))
    end = object()
    try:
        while True:
            with held_signals():
                result = next(results, end)
            if result is end:
                return
            yield result  # type: ignore[misc]
    finally:
        with held_signals():  # cancels what has not begun
            results.close()  # type: ignore[attr-defined]
