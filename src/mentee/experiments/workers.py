"""The work of a process that trains runs of a sweep: one run, and what is reported of it."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

import torch

from mentee import files
from mentee.api import Paused, RunOptions, train_or_resume
from mentee.build.datasets import cache_sources
from mentee.build.overrides import PythonOverrides
from mentee.errors import MenteeError, RunError
from mentee.experiments.jobs import FAILURE, Job
from mentee.runs.changes import SWEEP_PLAN
from mentee.training.signals import Interrupted, Terminated
from mentee.types import Step

MESSAGE_INTERVAL = 1.0
"""Seconds between two messages about the steps of a run."""
NOT_SHARED = "the folder of a sweep has to be on a file system that all machines share"


@dataclass(frozen=True)
class WorkerMessage:
    """What a worker reports of a run.

    Attributes:
        name: of the run.
        event: a step is done, or the run is finished, paused or failed; `ready`: a new process
            waits for its first run; `lost`: the worker has ended without a result; `refused`: no
            worker there can train any run.
        step: the number of the last step; of a paused run, of the last epoch.
        text: why it failed.
    """

    name: str
    event: Literal["ready", "step", "finished", "paused", "failed", "lost", "refused"]
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


def run_remote_job(
    job: Job, overrides: PythonOverrides, directory: str, threads: int
) -> WorkerMessage:
    """`run_job` in a process that a cluster has started; a signal saves the run, which is lost.

    Args:
        job: the run.
        overrides: passed from Python.
        directory: the working directory of the command, which relative paths start from.
        threads: of the run.
    """
    with contextlib.suppress(OSError):  # it matters for relative paths alone
        os.chdir(directory)
    if not (job.path.parent / SWEEP_PLAN).is_file():
        where = job.path.parent.absolute()
        text = f"a worker on {socket.gethostname()} does not find {where}; {NOT_SHARED}"
        return WorkerMessage(job.name, "refused", text=text)
    torch.set_num_threads(threads)
    _keep_sources()
    try:
        with _signals():
            return run_job(job, overrides, lambda message: None)
    except (Interrupted, KeyboardInterrupt):
        return WorkerMessage(job.name, "lost", text="its worker was told to stop")


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM, and the SIGUSR2 that submitit sends before the time is over, are as Ctrl-C."""

    def terminate(number: int, frame: object) -> NoReturn:
        raise Terminated(number)

    handlers = {
        signal.SIGTERM: terminate,
        signal.SIGUSR2: lambda number, frame: signal.raise_signal(signal.SIGTERM),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@functools.cache
def _keep_sources() -> contextlib.AbstractContextManager[None]:
    """Open and decode what runs read once for all of this process."""
    kept = cache_sources()
    kept.__enter__()
    return kept
