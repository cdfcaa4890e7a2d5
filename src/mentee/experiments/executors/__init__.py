"""Where the runs of a sweep train: on this machine, on a Ray cluster, or under Slurm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mentee.build.overrides import PythonOverrides
from mentee.errors import RecipeError, shown
from mentee.experiments.executors.executor import Executor, run_jobs
from mentee.experiments.executors.local import LocalExecutor

__all__ = ["Executor", "make_executor", "run_jobs"]


def make_executor(
    text: str, processes: int | None, overrides: PythonOverrides, out: Path
) -> Executor:
    """The executor that a text names: `local`, `ray:ADDRESS,num_cpus=2`, `slurm:partition=gpu`.

    Args:
        text: a name, and behind a colon an address (of Ray) and options, with commas.
        processes: how many runs train at once; None: as many as there is room for.
        overrides: passed from Python.
        out: the folder of the runs' folders.

    Raises:
        RecipeError: there is no such executor, or it has no such option.
        MenteeError: its package is not installed.
        RunError: the cluster cannot be reached.
    """
    name, addresses, options = parse(text)
    if name == "local" and not (addresses or options):
        return LocalExecutor(processes, overrides)
    if name == "ray" and len(addresses) <= 1:
        from mentee.experiments.executors.ray_cluster import RayExecutor

        return RayExecutor(next(iter(addresses), None), options, processes, overrides)
    if name == "slurm" and not addresses:
        from mentee.experiments.executors.slurm import SlurmExecutor

        return SlurmExecutor(options, processes, overrides, out)
    raise RecipeError(
        f"executor {shown(text)}: expected local, ray, ray:ADDRESS or slurm, the last two with "
        "options such as ray:10.0.0.1:6379,num_cpus=4 or slurm:partition=gpu,timeout_min=60"
    )


def parse(text: str) -> tuple[str, list[str], dict[str, Any]]:
    """The name, what else has no `=`, and the options of an executor.

    Example:
        >>> parse("ray:10.0.0.1:6379,num_gpus=0.5"), parse("slurm:partition=gpu")
        (('ray', ['10.0.0.1:6379'], {'num_gpus': 0.5}), ('slurm', [], {'partition': 'gpu'}))
    """
    name, _, rest = text.partition(":")
    parts = [part.strip() for part in rest.split(",") if part.strip()]
    options = dict(part.split("=", 1) for part in parts if "=" in part)
    return (
        name,
        [part for part in parts if "=" not in part],
        {k: value(v) for k, v in options.items()},
    )


def value(text: str) -> Any:
    """A number, true or false; else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
