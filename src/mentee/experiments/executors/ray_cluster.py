"""Trains runs as tasks of a Ray cluster, one task a run."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import urllib.parse
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mentee.build.overrides import PythonOverrides
from mentee.errors import MenteeError, RecipeError, RunError
from mentee.experiments.executors.remote import RemoteExecutor, refuse_options
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage, run_remote_job

POLL_INTERVAL = 0.5
"""Seconds after which a signal is noticed at the latest."""
REACH = 5.0
"""Seconds to wait for the cluster's address: Ray itself tries for minutes."""


class RayExecutor(RemoteExecutor):
    """Trains each run in a task of a Ray cluster.

    Args:
        address: `HOST:PORT` of its head, or `ray://HOST:PORT` of a Ray client server; None: the
            cluster that this machine is a node of, or `RAY_ADDRESS`.
        options: `num_cpus` of each run, its threads too (1); `num_gpus`, also a part (1 where the
            cluster has GPUs).
        processes: as `RemoteExecutor`.
        overrides: the same.

    Raises:
        MenteeError: Ray is not installed.
        RecipeError: there is no such option.
        RunError: no cluster can be reached.
    """

    def __init__(
        self,
        address: str | None,
        options: Mapping[str, Any],
        processes: int | None,
        overrides: PythonOverrides,
    ) -> None:
        super().__init__(processes, overrides)
        refuse_options("ray", options, ("num_cpus", "num_gpus"))
        for name, number in options.items():
            if (
                not isinstance(number, (int, float))
                or number < 0
                or (number, name) == (0, "num_cpus")
            ):
                raise RecipeError(f"executor ray: {name}={number}; expected a number above 0")
        try:
            import ray
        except ImportError as error:
            raise MenteeError(
                "executor ray needs Ray, which is not installed: pip install 'mentee[ray]'"
            ) from error
        self._ray: Any = ray
        self._connected = not ray.is_initialized()
        if self._connected:
            self._connect(address)
        total = self._ray.cluster_resources()
        self.needs = {"CPU": options.get("num_cpus", 1)}
        if gpus := options.get("num_gpus", 1 if total.get("GPU") else 0):
            self.needs["GPU"] = gpus
        self._task: Any = None
        self._shared: Any = None

    def _connect(self, address: str | None) -> None:
        address = address or os.environ.get("RAY_ADDRESS") or "auto"
        advice = "start one with ray start --head, and give its address: --executor ray:HOST:6379"
        where = urllib.parse.urlsplit(address if "//" in address else f"//{address}")
        try:
            if where.port is not None:
                socket.create_connection((where.hostname or "", where.port), REACH).close()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on coming versions of Ray
                with same_handlers():
                    self._ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # of many kinds
            first = str(error).partition("\n")[0]
            raise RunError(
                f"no Ray cluster can be reached at {address} ({first}); {advice}"
            ) from error

    def parallel(self, jobs: int) -> int:
        """As `Executor`."""
        total = self._ray.cluster_resources()
        room = min(int(total.get(name, 0) / need) for name, need in self.needs.items())
        return max(1, min(jobs, self.processes or room))

    def open(self, jobs: int) -> str:
        """As `Executor`.

        Raises:
            RunError: what was passed from Python cannot be pickled.
        """
        cpus, gpus = self.needs["CPU"], self.needs.get("GPU", 0)
        remote = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)
        self._task = remote(run_remote_job)
        try:
            self._shared = self._ray.put(self.overrides)
        except TypeError as error:
            first = str(error).partition("\n")[0]
            raise RunError(f"what was passed from Python cannot be sent to Ray: {first}") from error
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        each = ", ".join(f"{need:g} {name}" for name, need in self.needs.items())
        fits = any(all(n.get(k, 0) >= v for k, v in self.needs.items()) for n in nodes)
        lacks = "" if fits else "; no node has these now, the runs wait for one"
        return f"Ray cluster of {len(nodes)} node{'s' * (len(nodes) > 1)}, each run {each}{lacks}"

    def close(self) -> None:
        """As `Executor`."""
        if self._running:
            self._cancel(at_once=True)
        if self._connected:
            self._ray.shutdown()

    def _submit(self, jobs: Sequence[Job]) -> list[Any]:
        threads = max(1, int(self.needs["CPU"]))
        return [self._task.remote(job, self._shared, os.getcwd(), threads) for job in jobs]

    def _ended(self) -> Iterator[WorkerMessage]:
        refs = {ref: name for name, (_, ref) in self._running.items()}
        for ref in self._ray.wait([*refs], timeout=POLL_INTERVAL)[0] if refs else ():
            yield self._result(refs[ref], ref)

    def _result(self, name: str, ref: Any) -> WorkerMessage:
        """What a task has returned, or why it has not."""
        errors = self._ray.exceptions
        try:
            message: WorkerMessage = self._ray.get(ref)
        except errors.RayTaskError as error:  # one of the run itself would be a message
            last = str(error).strip().rpartition("\n")[2]
            text = f"a worker of the Ray cluster cannot train: {last}; it needs the same Mentee"
            return WorkerMessage(name, "refused", text=text)
        except errors.RayError as error:
            return WorkerMessage(
                name, "lost", text=str(error).strip().partition(". ")[0].partition("\n")[0]
            )
        return message

    def _cancel(self, *, at_once: bool) -> None:
        for _, ref in self._running.values():
            self._ray.cancel(ref, force=at_once)


@contextlib.contextmanager
def same_handlers() -> Iterator[None]:
    """Keep what SIGTERM does, which `ray.init` changes."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
