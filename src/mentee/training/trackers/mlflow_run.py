"""MLflow: where `MLFLOW_TRACKING_URI` says, else `trackers/mlflow.db` of the run's folder."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mentee.runs.folder import TRACKERS

BATCH, LONGEST = 100, 500
"""Parameters of one request, and characters of one."""


class MlflowRun:
    """A run of MLflow, through a client: what else uses mlflow in the process is left alone."""

    def __init__(self, mlflow: Any, client: Any, id: str) -> None:
        self._metric, self._client, self.id = mlflow.entities.Metric, client, id

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Send numbers of a step; characters that MLflow refuses in names become `_`."""
        now = int(1000 * time.time())
        metrics = [
            self._metric(re.sub(r"[^\w\-. /]", "_", name), float(value), now, step)
            for name, value in values.items()
        ]
        self._client.log_batch(self.id, metrics=metrics)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.id)


def open_run(mlflow: Any, folder: Path, id: str | None, recipe: Mapping[str, Any]) -> MlflowRun:
    """Begin a run of the experiment `MLFLOW_EXPERIMENT_NAME`, else `mentee`, or continue one."""
    own = f"sqlite:///{(folder / TRACKERS / 'mlflow.db').resolve()}"
    client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or own)
    if id is not None:
        client.update_run(id, status="RUNNING")
        return MlflowRun(mlflow, client, id)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "mentee")
    experiment = client.get_experiment_by_name(name)
    number = experiment.experiment_id if experiment else client.create_experiment(name)
    id = client.create_run(number, run_name=folder.resolve().name).info.run_id
    params = [mlflow.entities.Param(key, text[:LONGEST]) for key, text in flat(recipe)]
    for start in range(0, len(params), BATCH):
        client.log_batch(id, params=params[start : start + BATCH])
    return MlflowRun(mlflow, client, id)


def flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of a recipe as texts, by keys with points.

    Example:
        >>> list(flat({"train": {"lr": 0.1}, "trackers": ["mlflow"]}))
        [('train.lr', '0.1'), ('trackers', "['mlflow']")]
    """
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
