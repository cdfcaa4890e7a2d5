"""What an executor is, and the loop that trains runs with one.

The folders of the runs are the only truth: what is finished there is not started, and a run whose
worker is lost is started again, to be resumed from its newest checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from mentee.errors import RunError
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage
from mentee.runs.checkpoint import list_checkpoints
from mentee.training.signals import Interrupted, SignalGuard

MOST_LOSSES = 3
"""So often a run is started again that has saved no checkpoint meanwhile."""


class Executor(Protocol):
    """Trains runs somewhere; each is given out once, until it is lost."""

    def parallel(self, jobs: int) -> int:
        """How many of so many runs train at once, as far as it is known."""
        ...

    def open(self, jobs: int) -> str:
        """Get ready for so many runs; returns a line on where they train, which may be empty."""
        ...

    def start(self, jobs: Sequence[Job]) -> None:
        """Add runs, which begin in this order."""
        ...

    @property
    def busy(self) -> bool:
        """Whether any run has not ended."""
        ...

    def report(self, receive: Callable[[WorkerMessage], object]) -> None:
        """Wait for a moment, and call `receive` with each message of a run."""
        ...

    def stop(self) -> None:
        """Have every run save and end; those that have not begun are dropped."""
        ...

    def close(self) -> None:
        """End everything that is left, at once."""
        ...


def run_jobs(
    executor: Executor,
    jobs: Sequence[Job],
    receive: Callable[[WorkerMessage], Sequence[Job]],
    stop: SignalGuard,
) -> None:
    """Train runs until all have ended or a signal asks to stop.

    `receive` is called with every message, and returns the runs to add.

    Raises:
        RunError: no run can be trained there.
    """
    known: dict[str, Job] = {}
    losses: dict[str, tuple[str, int]] = {}  # the newest checkpoint then, and how often since
    stopping = False

    def start(more: Sequence[Job]) -> None:
        known.update((job.name, job) for job in more)
        executor.start(more)

    def on_message(message: WorkerMessage) -> None:
        if message.event == "refused":
            raise RunError(message.text)
        if message.event == "lost":
            if stopping:
                return
            job = known[message.name]
            newest = max(
                (path.name for path in list_checkpoints(job.folder.checkpoints)), default=""
            )
            before, count = losses.get(job.name, ("", 0))
            losses[job.name] = newest, count + 1 if newest == before else 1
            if losses[job.name][1] <= MOST_LOSSES:
                executor.start([job])
            else:
                text = f"its worker was lost {MOST_LOSSES + 1} times ({message.text})"
                text += " without a new checkpoint; the same command resumes it"
                message = replace(message, event="failed", text=text)
        more = receive(message)
        if more and stop.number is None:
            start(more)

    start(jobs)
    while executor.busy:
        if stop.number is not None and not stopping:
            stopping = True
            executor.stop()
            continue
        try:
            executor.report(on_message)
        except Interrupted as interrupted:  # the run of this process has noticed the signal first
            stop.number = interrupted.asked_by_signal
