"""Weights & Biases: its own settings decide about account, project and mode (`WANDB_MODE`)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mentee.runs.folder import TRACKERS


class WandbRun:
    """A run of wandb, whose x-axis is the step of training."""

    def __init__(self, run: Any) -> None:
        self._run, self.id = run, run.id
        run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Send numbers of a step, as a value: of its own steps wandb drops those that go back."""
        self._run.log({"step": step, **values})

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


def open_run(wandb: Any, folder: Path, id: str | None, recipe: Mapping[str, Any]) -> WandbRun:
    """Begin a run, or continue one, with its files in `trackers/wandb` of the run's folder."""
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "mentee"),
        id=id or secrets.token_hex(4),
        name=folder.resolve().name,
        dir=str(folder / TRACKERS),
        config=dict(recipe),
        resume="allow",
        reinit="create_new",
        settings=wandb.Settings(console="off", save_code=False, disable_git=True),
    )
    return WandbRun(run)
