"""A run begins in a new folder, or is resumed in its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mentee import files
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.errors import RunError
from mentee.locks import folder_lock
from mentee.parallel import gather_objects, init_processes, rank, restarts
from mentee.recipe import Recipe
from mentee.runs import checkpoint
from mentee.runs.folder import Folder
from mentee.training.options import RunOptions
from mentee.training.trainer import Training

Begun: TypeAlias = tuple[Path, Mapping[str, Any]]
"""The folder of a run that has come to its end, and the content of its `summary.json`."""


def train_new(
    recipe: Recipe, out: str | Path | None, overrides: PythonOverrides, options: RunOptions
) -> Begun:
    """Train in a new run folder; where that fails before the first step, none is left.

    Where torchrun has started the processes again, resume what the first ones began.

    Raises:
        RunError: `out` is None where torchrun may start the processes again.
    """
    if out is None and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")):
        raise RunError("torchrun --max-restarts resumes a run in its folder: name it by --out")
    setup = build(recipe, overrides, options.describe_data)
    # The first process chooses: another one may see its folder already and take the next number.
    folder = Folder(gather_objects(files.usable(out) if out else default_run_folder(recipe))[0])
    with folder_lock(folder.path, wait=options.wait):
        training = Training(setup, folder, options)
        if restarts() and folder.recipe.is_file() and folder.read_recipe() == setup.recipe:
            return resumed(training)
        training.begin()
        try:
            return folder.path, training.run()
        except (Exception, KeyboardInterrupt):
            if not training.steps_done and rank() == 0:
                folder.forget()
            raise


def resume_run(path: str | Path, overrides: PythonOverrides, options: RunOptions) -> Begun:
    """Resume a run from its newest checkpoint; return a finished one at once.

    One that ended before its first checkpoint starts from its beginning.
    """
    init_processes()  # of which the first one gets the lock
    folder = Folder(Path(path))
    folder.must_exist()
    if folder.summary.is_file():
        return finished_run(folder)
    with folder_lock(folder.path, wait=options.wait):
        if folder.summary.is_file():  # by the process that had the lock
            return finished_run(folder)
        setup = build(folder.read_recipe(), overrides, options.describe_data)
        return resumed(Training(setup, folder, options))


def resumed(training: Training) -> Begun:
    """A run that goes on from its newest checkpoint, or from its beginning where there is none."""
    folder = training.folder
    if checkpoint.list_checkpoints(folder.checkpoints):
        return folder.path, training.run(training.restore())
    training.begin(again=True)
    return folder.path, training.run()


def finished_run(folder: Folder) -> Begun:
    """A run that has its summary.

    Raises:
        RunError: its recipe was changed since, or its summary is damaged.
    """
    folder.refuse_changes()
    return folder.path, folder.read_summary()


def default_run_folder(recipe: Recipe) -> Path:
    """`runs/NETWORK-METHOD-N` with the next number that is free."""
    name = f"{recipe.student.network}-{recipe.method.name}"
    return next_run_folder(name.replace(":", "-").replace("/", "-"))


def next_run_folder(name: str) -> Path:
    """`runs/NAME-N` with the next number that is free."""
    number = 1
    while (Path("runs") / f"{name}-{number}").exists():
        number += 1
    return Path("runs") / f"{name}-{number}"
