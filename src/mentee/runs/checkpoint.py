"""Save and resume: atomically, exactly, and without unpickling anything but tensors and numbers."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from mentee import files
from mentee.distillation.loop import DistillationModule
from mentee.errors import RunError
from mentee.parallel import gather_objects, rank, world
from mentee.types import Step

NEWEST = 2
FORMAT = 3


def save(
    folder: Path,
    done: Step,
    module: DistillationModule,
    optimizer: torch.optim.Optimizer,
    *,
    average: AveragedModel | None = None,
    scaler: torch.amp.GradScaler | None = None,
    progress: Mapping[str, Any] | None = None,
) -> Path:
    """Write `step-N.pt` and drop all but the newest two; every process calls it, the first writes.

    It holds the student, the heads, the memories, what the losses weigh, the optimizer, the random
    states of each process, where the data stand and what the run remembers; never the teacher.

    Args:
        folder: the run's `checkpoints/`.
        done: the last step done.
        module: student and transfer.
        optimizer: of all that is trained.
        average: the student's moving average.
        scaler: of the loss, in float16.
        progress: what else the run has to remember, of numbers, texts, lists and dicts.

    Returns:
        The file.

    Raises:
        RunError: it cannot be written; the older checkpoints are still there.
    """
    path = folder / f"step-{done.number:08d}.pt"
    states, memory = gather_objects(random_state()), module.criterion.memory_state()
    if rank() != 0:
        return path
    state = {
        "format": FORMAT,
        "done": dataclasses.asdict(done) | {"losses": dict(done.losses)},
        "student": module.student.state_dict(),
        "adapters": module.criterion.state_dict(),
        "memories": memory,
        "loss_weights": module.criterion.loss_weights.state(),
        "optimizer": optimizer.state_dict(),
        "ema": None if average is None else average.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "random_states": states,
        "run_state": dict(progress or {}),
    }
    files.write(path, lambda temporary: write_state(temporary, state))
    unfinished = folder.glob(".step-*")  # what a kill in the midst of writing left behind
    for old in [*list_checkpoints(folder)[:-NEWEST], *unfinished]:
        old.unlink()
    return path


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """`torch.save` through a file of Python's, which says why where it cannot write."""
    with path.open("wb") as out:
        torch.save(state, out)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    return sorted(folder.glob("step-*.pt"))


def load(folder: Path) -> dict[str, Any]:
    """Read the newest checkpoint.

    Args:
        folder: the run's `checkpoints/`.

    Raises:
        RunError: there is none, or it is damaged; the text says what to do.
    """
    checkpoints = list_checkpoints(folder)
    if not checkpoints:
        raise RunError(
            f"{folder} holds no checkpoint, so there is nothing to resume; start the run again "
            "with mentee train"
        )
    newest = checkpoints[-1]
    shared = world() > 1  # one copy in memory for all processes of a machine
    try:
        state: dict[str, Any] = torch.load(
            newest, map_location="cpu", weights_only=True, mmap=shared
        )
    except Exception as error:  # torch reports a damaged file in a dozen ways
        advice = (
            f"delete it to resume from {checkpoints[-2].name}"
            if len(checkpoints) > 1
            else "there is no older one; start the run again"
        )
        raise RunError(
            f"{newest} cannot be read: it is truncated or no checkpoint "
            f"({newest.stat().st_size} bytes); {advice}"
        ) from error
    if state.get("format") != FORMAT:
        raise RunError(
            f"{newest} has format {state.get('format')}, this version of mentee reads {FORMAT}; "
            "resume with the version that environment.json names"
        )
    return state


def restore(
    state: Mapping[str, Any],
    module: DistillationModule,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None = None,
    scaler: torch.amp.GradScaler | None = None,
) -> Step:
    """Put everything back as it was.

    Args:
        state: as `load` returned it.
        module: the same student and method, freshly built.
        optimizer: the same, freshly built.
        average: the same, if the run keeps one.
        scaler: the same, in float16.

    Returns:
        The last step done.

    Raises:
        RunError: the checkpoint is of another student or method.
    """
    _load_module(module.student, state["student"], "student")
    _load_module(module.criterion, state["adapters"], "adapters")
    module.criterion.load_memory(state["memories"])
    module.criterion.loss_weights.load(state["loss_weights"])
    optimizer.load_state_dict(state["optimizer"])
    if average is not None:
        _load_module(average, state["ema"], "moving average")
    if scaler is not None and state["scaler"] is not None:
        scaler.load_state_dict(state["scaler"])
    states = state["random_states"]
    if rank() < len(
        states
    ):  # of more processes than saved it, further ones keep their initial state
        set_random_state(states[rank()])
    return Step(**state["done"])


def _load_module(module: nn.Module, state: Mapping[str, Any], what: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(
            f"the checkpoint's {what} does not fit this recipe: {error}; resume with the recipe "
            "that the run began with"
        ) from error


def random_state() -> dict[str, Any]:
    """The states of all global generators, as tensors, numbers and texts."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, numbers, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(keys, np.int64)),
            position,
            has_gauss,
            gauss,
        ],
        "python": [version, list(numbers), gauss_next],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the global generators where `random_state` found them."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, numbers, gauss_next = state["python"]
    random.setstate((version, tuple(numbers), gauss_next))
