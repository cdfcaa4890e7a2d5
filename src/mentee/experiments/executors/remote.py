"""What executors on other machines share: runs are submitted, and their folders are looked at."""

from __future__ import annotations

import abc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee.build.overrides import PythonOverrides
from mentee.errors import RecipeError, first_few
from mentee.experiments.jobs import Job
from mentee.experiments.workers import NOT_SHARED, WorkerMessage
from mentee.runs.metrics import read_line

MOST_SUBMITTED = 1000
"""Runs that a cluster knows at once, where nobody says how many train."""
STEP_INTERVAL = 10.0
"""Seconds between two looks at the metrics of the runs."""
SHARING_PATIENCE = 60.0
"""Seconds until a file that another machine has written is seen here."""


class RemoteExecutor(abc.ABC):
    """Submits runs to a cluster; what a run has come to is in its folder.

    Args:
        processes: how many runs train at once; None: as many as there is room for.
        overrides: passed from Python.
    """

    def __init__(self, processes: int | None, overrides: PythonOverrides) -> None:
        self.processes, self.overrides = processes, overrides
        self._queue: list[Job] = []
        self._running: dict[str, tuple[Job, Any]] = {}  # by name, with what the cluster calls it
        self._stopping = False
        self._looked = 0.0

    def start(self, jobs: Sequence[Job]) -> None:
        """As `Executor`."""
        self._queue += jobs

    @property
    def busy(self) -> bool:
        """As `Executor`."""
        return bool(self._queue or self._running)

    def report(self, receive: Callable[[WorkerMessage], object]) -> None:
        """As `Executor`."""
        room = max(0, self._most() - len(self._running))
        jobs, self._queue = self._queue[:room], self._queue[room:]
        if jobs:
            handles = self._submit(jobs)
            self._running |= {j.name: (j, h) for j, h in zip(jobs, handles, strict=True)}
        for message in list(self._ended()):
            job, _ = self._running.pop(message.name)
            lost = message.event == "lost" and job.finished
            receive(WorkerMessage(job.name, "finished") if lost else _checked(message, job))
        if time.monotonic() - self._looked > STEP_INTERVAL:
            self._looked = time.monotonic()
            for job, _ in self._running.values():
                if (step := last_step(job.folder.metrics)) is not None:
                    receive(WorkerMessage(job.name, "step", step))

    def stop(self) -> None:
        """As `Executor`."""
        self._stopping = True
        self._queue.clear()
        self._cancel(at_once=False)

    def _most(self) -> int:
        """How many runs the cluster may know at once."""
        return self.processes or MOST_SUBMITTED

    @abc.abstractmethod
    def _submit(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Have the cluster train runs; returns what it calls each."""

    @abc.abstractmethod
    def _ended(self) -> Iterator[WorkerMessage]:
        """Wait for a moment; the runs that have ended."""

    @abc.abstractmethod
    def _cancel(self, *, at_once: bool) -> None:
        """Have all runs save and end, or end at once."""


def _checked(message: WorkerMessage, job: Job) -> WorkerMessage:
    """The same, or where a run is reported as finished and its files are not here, a refusal."""
    until = time.monotonic() + SHARING_PATIENCE
    while message.event == "finished" and not job.finished:
        if time.monotonic() > until:
            text = f"{job.path} was finished elsewhere and is not here; {NOT_SHARED}"
            return WorkerMessage(job.name, "refused", text=text)
        time.sleep(0.5)
        if job.path.is_dir():
            os.listdir(job.path)  # has a network file system look again
    return message


def last_step(path: Path) -> int | None:
    """The step of the last whole line of `metrics.jsonl`; None: there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            *lines, _ = file.read().split(b"\n")
    except (OSError, ValueError):
        return None
    steps = (line["step"] for text in reversed(lines) if (line := read_line(text)))
    return next(steps, None)


def refuse_options(name: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse options that an executor does not have.

    Raises:
        RecipeError: there are some.
    """
    if unknown := [option for option in options if option not in known]:
        raise RecipeError(
            f"executor {name} has no option {first_few(unknown)}; it has {', '.join(known)}"
        )
