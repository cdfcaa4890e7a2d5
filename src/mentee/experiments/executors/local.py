"""Trains runs on this machine, in this process or in several, each with its share of the cores.

A worker process that is told to stop, or whose parent is gone, saves its run's state and ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from mentee.build.datasets import cache_sources
from mentee.build.overrides import PythonOverrides
from mentee.console import has_plain_warnings, plain_warnings
from mentee.errors import RunError
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage, run_job
from mentee.threads import cores
from mentee.training.signals import Interrupted

POLL_INTERVAL = 0.5
"""Seconds after which a signal is noticed at the latest."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalExecutor:
    """Trains runs in worker processes of this machine; a single one is this process.

    Args:
        processes: how many; None: one for each core, and one where there is a GPU.
        overrides: passed from Python.
    """

    def __init__(self, processes: int | None, overrides: PythonOverrides) -> None:
        self.processes, self.overrides = processes, overrides
        self._count, self._threads = 1, 1
        self._queue: list[Job] = []
        self._workers: list[Worker] = []
        self._stopping = False

    def parallel(self, jobs: int) -> int:
        """As `Executor`."""
        return divide_cores(jobs, self.processes)[0]

    def open(self, jobs: int) -> str:
        """As `Executor`."""
        self._count, self._threads = divide_cores(jobs, self.processes)
        plural = "s" if self._threads > 1 else ""
        line = f"{self._count} processes of {self._threads} thread{plural} each"
        return line if self._count > 1 else ""

    def start(self, jobs: Sequence[Job]) -> None:
        """As `Executor`."""
        self._queue += jobs

    @property
    def busy(self) -> bool:
        """As `Executor`."""
        return bool(self._queue or self._workers)

    def report(self, receive: Callable[[WorkerMessage], object]) -> None:
        """As `Executor`.

        Raises:
            Interrupted: a signal has stopped the run of this process.
            RunError: a process cannot be started.
        """
        if self._count == 1:
            with cache_sources():
                receive(run_job(self._queue.pop(0), self.overrides, receive))
            return
        busy = any(worker.job is not None for worker in self._workers)
        for worker in self._workers:
            if worker.waits and (self._queue or self._stopping or not busy):
                worker.assign(self._queue.pop(0) if self._queue else None)
        idle = sum(worker.job is None for worker in self._workers)
        more = min(self._count - len(self._workers), len(self._queue) - idle)
        self._workers += [Worker.start(self.overrides, self._threads) for _ in range(more)]
        ends = [(worker.pipe, worker.process.sentinel) for worker in self._workers]
        wait([end for both in ends for end in both], POLL_INTERVAL)
        for worker in list(self._workers):
            ended = not worker.process.is_alive()  # before its last messages are read
            for message in worker.messages():
                if message.event != "step":
                    worker.job, worker.waits = None, True
                if message.event != "ready":
                    receive(message)
            if ended:
                self._workers.remove(worker)
                if not self._stopping:
                    worker.report_exit(receive)

    def stop(self) -> None:
        """As `Executor`."""
        self._stopping = True
        self._queue.clear()
        for worker in self._workers:
            worker.process.terminate()

    def close(self) -> None:
        """As `Executor`."""
        for worker in self._workers:
            worker.process.kill()


def divide_cores(jobs: int, processes: int | None) -> tuple[int, int]:
    """(processes, threads of each) for a number of runs; on a GPU one process by default.

    The number of threads changes floating-point sums, so a run has to get as many each time.

    Example:
        >>> divide_cores(1, 4)[0]
        1
    """
    default = 1 if torch.cuda.is_available() else cores()
    count = max(1, min(jobs, default if processes is None else processes))
    return count, max(1, cores() // count)


@dataclass
class Worker:
    """A process that trains runs: they go into its pipe, messages come out.

    Attributes:
        process: that trains them.
        pipe: to it.
        job: that it trains.
        ready: whether there was a message.
        waits: for a run, or for being told that there are no more.
    """

    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    ready: bool = False
    waits: bool = False

    @classmethod
    def start(cls, overrides: PythonOverrides, threads: int) -> Worker:
        """Start a process.

        Raises:
            RunError: what was passed from Python cannot be pickled.
        """
        context = multiprocessing.get_context("spawn")
        pipe, child_pipe = context.Pipe()
        plain = has_plain_warnings()
        process = context.Process(target=worker_main, args=(child_pipe, overrides, threads, plain))
        try:
            refuse_notebook_objects(overrides)
            with child_environment(threads):
                process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise RunError(
                f"what was passed from Python cannot be handed to another process ({error}); "
                "define it at the top level of a module, or give processes=1"
            ) from error
        child_pipe.close()
        return cls(process, pipe)

    def messages(self) -> Iterator[WorkerMessage]:
        """All messages since the last call."""
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                message: WorkerMessage = self.pipe.recv()
                self.ready = True
                yield message

    def assign(self, job: Job | None) -> None:
        """Send it a run; None: there are no more."""
        self.job, self.waits = job, False
        with contextlib.suppress(OSError):  # it has ended, which `report_exit` reports
            self.pipe.send(job)

    def report_exit(self, receive: Callable[[WorkerMessage], object]) -> None:
        """Report the run that the ended process left unfinished as failed.

        Raises:
            RunError: the process ended before it was ready.
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
            text = f"its process ended with exit status {code}{why}; the same command resumes it"
            receive(WorkerMessage(self.job.name, "failed", text=text))


def refuse_notebook_objects(overrides: PythonOverrides) -> None:
    """Refuse what is defined in a notebook or at a prompt, before a process tries to import it."""
    if getattr(sys.modules["__main__"], "__file__", None) is not None:
        return
    if b"__main__" in pickle.dumps(overrides):
        raise RunError(
            "what was passed from Python is defined in a notebook or at a prompt, where another "
            "process cannot import it; move it into a .py file and import it from there, or give "
            "processes=1"
        )


@contextlib.contextmanager
def child_environment(threads: int) -> Iterator[None]:
    """What a new process inherits: the number of threads, and to ignore Ctrl-C while it starts."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if main:
            signal.signal(signal.SIGINT, handler)


def worker_main(
    pipe: Connection, overrides: PythonOverrides, threads: int, plain: bool = False
) -> None:
    """The work of a process: one run after another, until there are no more.

    `plain`: warnings are one line each, as those of the command line.
    """
    if plain:
        plain_warnings()
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # the terminal's Ctrl-C goes to the parent alone, which stops this process
    torch.set_num_threads(threads)
    threading.Thread(target=stop_with_parent, daemon=True).start()

    def send(message: WorkerMessage) -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            pipe.send(message)

    send(WorkerMessage("", "ready"))
    with cache_sources(), contextlib.suppress(EOFError, OSError, Interrupted):
        while (job := pipe.recv()) is not None:
            send(run_job(job, overrides, send))


def stop_with_parent() -> None:
    """Send this process SIGTERM, so that it saves and stops, as soon as its parent has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
