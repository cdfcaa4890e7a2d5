"""Trains runs as a job array of Slurm, by submitit."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee.build.overrides import PythonOverrides
from mentee.errors import MenteeError, RecipeError, RunError
from mentee.experiments.executors.remote import RemoteExecutor
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage, run_remote_job

POLL_INTERVAL = 1.0
"""Seconds between two looks for results."""
STATE_INTERVAL = 60
"""Seconds between two questions to Slurm for the state of jobs, at most."""
MINUTES = 60
"""Of a job, where nobody says it: a run that is not finished then is saved and submitted again."""
GENERIC = ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node", "name", "stderr_to_stdout")
"""Options that submitit has for every cluster; others are those of its Slurm executor."""


class SlurmExecutor(RemoteExecutor):
    """Trains each run in an element of a job array.

    Args:
        options: of submitit: `timeout_min`, `cpus_per_task` (the threads of a run), `mem_gb`,
            `gpus_per_node`, and any of Slurm, as `partition`, `account`, `qos`, `constraint`.
            `cluster=local` starts the jobs on this machine, without Slurm.
        processes: as `RemoteExecutor`.
        overrides: the same.
        out: the folder of the runs' folders; submitit writes into its `slurm`.

    Raises:
        MenteeError: submitit is not installed.
        RecipeError: there is no such option.
        RunError: this machine has no Slurm.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        processes: int | None,
        overrides: PythonOverrides,
        out: Path,
    ) -> None:
        super().__init__(processes, overrides)
        try:
            import submitit
        except ImportError as error:
            raise MenteeError(
                "executor slurm needs submitit, which is not installed: pip install 'mentee[slurm]'"
            ) from error
        options = {"timeout_min": MINUTES, "cpus_per_task": 1, "name": "mentee", **options}
        self.cluster, self.threads = options.pop("cluster", "slurm"), options["cpus_per_task"]
        if self.cluster not in ("slurm", "local"):
            raise RecipeError(f"executor slurm: cluster={self.cluster}; expected slurm or local")
        if self.cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise RunError(
                "executor slurm: this machine has no sbatch and srun; start the command on a login "
                "node of the cluster"
            )
        for name in {"nodes", "tasks_per_node", "ntasks_per_node"} & {*options}:
            raise RecipeError(f"executor slurm: {name}: a run is one task; leave it out")
        if self.processes:
            options["array_parallelism"] = self.processes
        self._submitit = submitit
        self._executor = submitit.AutoExecutor(out.absolute() / "slurm", cluster=self.cluster)
        try:
            self._executor.update_parameters(
                **{k if k in GENERIC else f"slurm_{k}": v for k, v in options.items()}
            )
        except (NameError, AssertionError, ValueError, TypeError) as error:
            raise RecipeError(f"executor slurm: {error}") from None
        if self.cluster == "slurm":
            watcher = type(submitit.SlurmJob.watcher)
            submitit.SlurmJob.watcher = watcher(delay_s=STATE_INTERVAL)

    def parallel(self, jobs: int) -> int:
        """As `Executor`."""
        return min(jobs, self.processes or jobs)

    def open(self, jobs: int) -> str:
        """As `Executor`."""
        return f"{self.cluster} jobs by submitit, logs in {self._executor.folder}"

    def close(self) -> None:
        """As `Executor`."""
        self._cancel(at_once=True)

    def _most(self) -> int:
        """All, since an array has its own limit."""
        return super()._most() if self.cluster == "local" else len(self._running) + len(self._queue)

    def _submit(self, jobs: Sequence[Job]) -> Sequence[Any]:
        same = ([value] * len(jobs) for value in (self.overrides, os.getcwd(), self.threads))
        try:
            handles: Sequence[Any] = self._executor.map_array(run_remote_job, jobs, *same)
        except self._submitit.core.utils.FailedJobError as error:
            raise RunError(f"Slurm does not take the jobs: {error}") from error
        return handles

    def _ended(self) -> Iterator[WorkerMessage]:
        time.sleep(POLL_INTERVAL)
        if self._stopping and self.cluster == "slurm":
            self._submitit.SlurmJob.watcher.update()
        for name, (_, handle) in self._running.items():
            if not handle.done():
                continue
            if not handle.paths.result_pickle.exists():
                yield WorkerMessage(name, "lost", text=f"its job ended as {handle.state}")
                continue
            try:
                yield handle.result()
            except self._submitit.core.utils.FailedJobError as error:
                last = str(error).strip().rpartition("\n")[2]
                yield WorkerMessage(name, "refused", text=f"a job cannot train: {last}")

    def _cancel(self, *, at_once: bool) -> None:
        for _, handle in self._running.values():
            handle.cancel(check=False)
