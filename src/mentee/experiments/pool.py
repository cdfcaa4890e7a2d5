"""Processes that train runs side by side, each with its share of the machine's cores.

A process that is told to stop, or whose parent is gone, saves its run's state and ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from mentee.build.datasets import cache_sources
from mentee.build.overrides import PythonOverrides
from mentee.errors import RunError
from mentee.experiments.jobs import Job
from mentee.experiments.worker import WorkerMessage, perform
from mentee.training.signals import Interrupted, SignalGuard

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LOOK = 0.5
"""Seconds after which a signal is seen at the latest."""


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def divided(jobs: int, processes: int | None) -> tuple[int, int]:
    """(processes, threads of each) for so many runs; on a GPU one process where none is named.

    Threads change the sums of floating-point numbers, so a run is to have as many each time.

    Example:
        >>> divided(1, 4)[0]
        1
    """
    usual = 1 if torch.cuda.is_available() else cores()
    count = max(1, min(jobs, usual if processes is None else processes))
    return count, max(1, cores() // count)


def one_by_one(
    waiting: list[Job],
    given: PythonOverrides,
    heard: Callable[[WorkerMessage], object],
    asked: SignalGuard,
) -> None:
    """Train runs in this process, one after another, until a signal asks to stop."""
    with cache_sources():
        while waiting and asked.number is None:
            job = waiting.pop(0)
            try:
                heard(perform(job, given, heard))
            except Interrupted as stopped:  # the run has seen the signal first
                asked.number = stopped.asked_by_signal


def side_by_side(
    waiting: list[Job],
    given: PythonOverrides,
    processes: int,
    threads: int,
    heard: Callable[[WorkerMessage], object],
    asked: SignalGuard,
) -> None:
    """Train runs in processes of their own, until a signal asks to stop.

    Args:
        waiting: in the order they are begun in; emptied, and `heard` may add to it.
        given: what was passed from Python; it has to be picklable.
        processes: how many at once.
        threads: of each.
        heard: called with all that the processes tell.
        asked: notes signals.

    Raises:
        RunError: a process cannot be started.
    """
    stopping = False
    workers: list[Worker] = []
    try:
        while True:
            if asked.number is not None and not stopping:
                stopping = True
                waiting.clear()
                for worker in workers:
                    worker.process.terminate()
            asking = sum(worker.job is None for worker in workers)
            more = 0 if stopping else min(processes - len(workers), len(waiting) - asking)
            workers += [Worker.start(given, threads) for _ in range(more)]
            if not workers:
                return
            ends = [(worker.pipe, worker.process.sentinel) for worker in workers]
            wait([end for both in ends for end in both], LOOK)
            for worker in list(workers):
                gone = not worker.process.is_alive()  # asked first: what it told is read below
                for told in worker.told():
                    if told.what != "ready":
                        heard(told)
                    if told.what != "step":
                        worker.give(waiting.pop(0) if waiting and not stopping else None)
                if gone:
                    workers.remove(worker)
                    if not stopping:
                        worker.check_end(heard)
    finally:
        for worker in workers:
            worker.process.kill()


@dataclass
class Worker:
    """A process that trains runs.

    Attributes:
        process: the process.
        pipe: runs go in, what is told of them comes out.
        job: which run it is at.
        ready: whether it has got as far as asking for one.
    """

    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    ready: bool = False

    @classmethod
    def start(cls, given: PythonOverrides, threads: int) -> Worker:
        """A new process.

        Raises:
            RunError: what was passed from Python cannot be handed to it.
        """
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, given, threads))
        try:
            with as_a_child(threads):
                process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise RunError(
                f"what was passed from Python cannot be handed to another process ({error}); "
                "define it at the top level of a module, or give processes=1"
            ) from error
        theirs.close()
        return cls(process, ours)

    def told(self) -> Iterator[WorkerMessage]:
        """All that it has told since the last time."""
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                told: WorkerMessage = self.pipe.recv()
                self.ready = True
                yield told

    def give(self, job: Job | None) -> None:
        """Hand it a run; None: there are no more."""
        self.job = job
        with contextlib.suppress(OSError):  # it has ended: that is seen elsewhere
            self.pipe.send(job)

    def check_end(self, heard: Callable[[WorkerMessage], object]) -> None:
        """Tell of the run that it left behind, if it did.

        Raises:
            RunError: it never came as far as asking for one.
        """
        code = self.process.exitcode
        if not self.ready:
            raise RunError(
                f"a process of the sweep ended before its first run (exit status {code}). A "
                "script that calls mentee.sweep has to do so below `if __name__ == '__main__':`, "
                "since each process imports it; or give processes=1"
            )
        if self.job is not None:
            why = ", perhaps for lack of memory" if code == -signal.SIGKILL else ""
            text = (
                f"its process ended with exit status {code}{why}; the same command goes on with it"
            )
            heard(WorkerMessage(self.job.name, "failed", text=text))


@contextlib.contextmanager
def as_a_child(threads: int) -> Iterator[None]:
    """Environment of a new process: its threads; and a Ctrl-C is its parent's affair."""
    before = {name: os.environ.get(name) for name in THREADS}
    main = threading.current_thread() is threading.main_thread()
    old = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if main:
            signal.signal(signal.SIGINT, old)


def work(pipe: Connection, given: PythonOverrides, threads: int) -> None:
    """What such a process does: one run after another, until there are no more."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # the terminal's Ctrl-C goes to the parent alone, which tells this process
    torch.set_num_threads(threads)
    threading.Thread(target=end_with_parent, daemon=True).start()

    def tell(told: WorkerMessage) -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            pipe.send(told)

    tell(WorkerMessage("", "ready"))
    with cache_sources(), contextlib.suppress(EOFError, OSError, Interrupted):
        while (job := pipe.recv()) is not None:
            tell(perform(job, given, tell))


def end_with_parent() -> None:
    """Ask this process to save and stop as soon as its parent is no more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
