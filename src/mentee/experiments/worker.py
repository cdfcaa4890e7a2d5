"""One run of a sweep, in whichever process: begun or gone on with, and what became of it."""

from __future__ import annotations

import contextlib
import gc
import os
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from mentee import files
from mentee.api import Paused, RunOptions, train_or_resume
from mentee.build.overrides import PythonOverrides
from mentee.errors import MenteeError, RunError
from mentee.experiments.jobs import FAILURE, Job
from mentee.types import Step

PULSE = 1.0
"""Seconds between two words about the steps of a run."""


@dataclass(frozen=True)
class WorkerMessage:
    """What a run's process says of it.

    Attributes:
        name: of the run.
        what: a step is done, or it is finished, paused or failed; `ready`: a process wants its
            first run.
        step: the number of its last step; of a paused one, of its last epoch.
        text: why it failed.
    """

    name: str
    what: Literal["ready", "step", "finished", "paused", "failed"]
    step: int = 0
    text: str = ""


def perform(
    job: Job, given: PythonOverrides, tell: Callable[[WorkerMessage], object]
) -> WorkerMessage:
    """Train a run to its end, from where it stands; an error of it is told and goes no further.

    Args:
        job: which.
        given: what was passed from Python.
        tell: called about once a second with its last step.

    Returns:
        What became of it.

    Raises:
        Interrupted: a signal asked to stop; its state is saved.
    """
    last = 0.0

    def on_step(step: Step) -> None:
        nonlocal last
        if time.monotonic() - last >= PULSE:
            last = time.monotonic()
            tell(WorkerMessage(job.name, "step", step.number))

    try:
        with held(job.path):
            (job.path / FAILURE).unlink(missing_ok=True)
            options = RunOptions(True, on_step, job.until)
            run = train_or_resume(job.recipe, job.path, given, options)
        return WorkerMessage(job.name, "finished", run.summary["steps"])
    except Paused as paused:
        return WorkerMessage(job.name, "paused", paused.epoch)
    except MenteeError as error:
        return failed(job, str(error), str(error))
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return failed(job, text, traceback.format_exc())
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def failed(job: Job, text: str, whole: str) -> WorkerMessage:
    """What became of a run that failed; its folder says it too."""
    with contextlib.suppress(RunError):  # the disk may be what failed
        files.write_text(job.path / FAILURE, whole.rstrip() + "\n")
    return WorkerMessage(job.name, "failed", text=text)


@contextlib.contextmanager
def held(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep a folder from other processes of this kind; a killed process lets it go.

    Args:
        folder: is made where it is not there.
        wait: until another process lets it go.

    Raises:
        RunError: another process has it, and nobody waits; or it cannot be made.
    """
    with files.plain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise RunError(
                f"another sweep is at work in {folder}; wait for it, or give another --out"
            ) from None
        yield
    finally:
        os.close(handle)
