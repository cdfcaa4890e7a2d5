"""Trains the runs of a sweep, in this process or in several, each with its share of the cores.

A worker process that is told to stop, or whose parent is gone, saves its run's state and ends.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Literal

import torch

from mentee import files
from mentee.api import Paused, RunOptions, train_or_resume
from mentee.build.datasets import cache_sources
from mentee.build.overrides import PythonOverrides
from mentee.console import has_plain_warnings, plain_warnings
from mentee.errors import MenteeError, RunError
from mentee.experiments.jobs import FAILURE, Job
from mentee.threads import cores
from mentee.training.signals import Interrupted, SignalGuard
from mentee.types import Step

MESSAGE_INTERVAL = 1.0
"""Seconds between two messages about the steps of a run."""
POLL_INTERVAL = 0.5
"""Seconds after which a signal is noticed at the latest."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class WorkerMessage:
    """What a worker reports of a run.

    Attributes:
        name: of the run.
        event: a step is done, or the run is finished, paused or failed; `ready`: a new process
            waits for its first run.
        step: the number of the last step; of a paused run, of the last epoch.
        text: why it failed.
    """

    name: str
    event: Literal["ready", "step", "finished", "paused", "failed"]
    step: int = 0
    text: str = ""


def run_job(
    job: Job, overrides: PythonOverrides, send: Callable[[WorkerMessage], object]
) -> WorkerMessage:
    """Train a run from its newest checkpoint to its end; an error becomes the returned message.

    Raises:
        Interrupted: a signal asked to stop; the state is saved.
    """
    last = 0.0

    def on_step(step: Step) -> None:
        nonlocal last
        if time.monotonic() - last >= MESSAGE_INTERVAL:
            last = time.monotonic()
            send(WorkerMessage(job.name, "step", step.number))

    try:
        (job.path / FAILURE).unlink(missing_ok=True)
        options = RunOptions(True, on_step, job.until, wait=True, inspect=False)
        run = train_or_resume(job.recipe, job.path, overrides, options)
        return WorkerMessage(job.name, "finished", run.summary["steps"])
    except Paused as paused:
        return WorkerMessage(job.name, "paused", paused.epoch)
    except MenteeError as error:
        return failure(job, str(error), str(error))
    except Exception as error:
        return failure(job, f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def failure(job: Job, text: str, report: str) -> WorkerMessage:
    """The message of a run that failed; the whole report goes into its folder."""
    with contextlib.suppress(RunError):  # the disk may be what failed
        files.write_text(job.path / FAILURE, report.rstrip() + "\n")
    return WorkerMessage(job.name, "failed", text=text)


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


def run_sequentially(
    queue: list[Job],
    overrides: PythonOverrides,
    receive: Callable[[WorkerMessage], object],
    stop: SignalGuard,
) -> None:
    """Train runs in this process, one after another, until a signal asks to stop."""
    with cache_sources():
        while queue and stop.number is None:
            job = queue.pop(0)
            try:
                receive(run_job(job, overrides, receive))
            except Interrupted as interrupted:  # the run has noticed the signal first
                stop.number = interrupted.asked_by_signal


def run_in_processes(
    queue: list[Job],
    overrides: PythonOverrides,
    processes: int,
    threads: int,
    receive: Callable[[WorkerMessage], object],
    stop: SignalGuard,
) -> None:
    """Train runs in worker processes, until a signal asks to stop.

    The queue is emptied in its order; `receive`, called with every message, may add to it.

    Raises:
        RunError: a process cannot be started.
    """
    stopping = False
    workers: list[Worker] = []
    try:
        while True:
            if stop.number is not None and not stopping:
                stopping = True
                queue.clear()
                for worker in workers:
                    worker.process.terminate()
            idle = sum(worker.job is None for worker in workers)
            more = 0 if stopping else min(processes - len(workers), len(queue) - idle)
            workers += [Worker.start(overrides, threads) for _ in range(more)]
            if not workers:
                return
            ends = [(worker.pipe, worker.process.sentinel) for worker in workers]
            wait([end for both in ends for end in both], POLL_INTERVAL)
            for worker in list(workers):
                ended = not worker.process.is_alive()  # before its last messages are read
                for message in worker.messages():
                    if message.event != "step":
                        worker.job, worker.waits = None, True
                    if message.event not in ("ready", "step"):
                        receive(message)
                if ended:
                    workers.remove(worker)
                    if not stopping:
                        worker.report_exit(receive)
            busy = any(worker.job is not None for worker in workers)  # may add to the queue
            for worker in workers:
                if worker.waits and (queue or stopping or not busy):
                    worker.assign(queue.pop(0) if queue and not stopping else None)
    finally:
        for worker in workers:
            worker.process.kill()


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
