"""Save and resume: atomically, exactly, and without unpickling anything but tensors and numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from mentee import files
from mentee.distillation.loop import DistillationModule
from mentee.distillation.sharding import groups_as, join_groups, split_as, whole
from mentee.errors import RunError
from mentee.parallel import gather_objects, rank, world
from mentee.types import Step

NEWEST = 2
FORMAT = 3
KEYS = (
    "done",
    "student",
    "adapters",
    "memories",
    "loss_weights",
    "optimizer",
    "ema",
    "scaler",
    "random_states",
    "run_state",
)
"""What a checkpoint holds."""
MOST_LETTERS = 300
"""Of torch's reason why a state does not fit: it names each of many tensors."""


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
    states of each process, where the data stand and what the run remembers (`progress`: numbers,
    texts, lists and dicts); never the teacher.

    Raises:
        RunError: it cannot be written; the older checkpoints are still there.
    """
    path = folder / f"step-{done.number:08d}.pt"
    states, memory = gather_objects(random_state()), module.criterion.memory_state()
    student, optimizer_state = whole([module.student.state_dict(), optimizer.state_dict()])
    if rank() != 0:
        return path
    state = {
        "format": FORMAT,
        "done": dataclasses.asdict(done) | {"losses": dict(done.losses)},
        "student": student,
        "adapters": module.criterion.state_dict(),
        "memories": memory,
        "loss_weights": module.criterion.loss_weights.state(),
        "optimizer": optimizer_state
        | {"param_groups": join_groups(optimizer_state["param_groups"])},
        "ema": None if average is None else average.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "random_states": states,
        "run_state": dict(progress or {}),
    }
    files.write(path, lambda temporary: write_state(temporary, state))
    for old in list_checkpoints(folder)[:-NEWEST]:
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
    version = state.get("format") if isinstance(state, dict) else type(state).__name__
    if version != FORMAT:
        raise RunError(
            f"{newest} has format {version}, this version of mentee reads {FORMAT}; "
            "resume with the version that environment.json names"
        )
    if missing := [key for key in KEYS if key not in state]:
        raise RunError(f"{newest} lacks {', '.join(missing)}: it was changed or is no checkpoint")
    return state


def restore(
    state: Mapping[str, Any],
    module: DistillationModule,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None = None,
    scaler: torch.amp.GradScaler | None = None,
) -> Step:
    """Put everything, freshly built, back as it was in a checkpoint; returns the last step done.

    Raises:
        RunError: the checkpoint is of another student or method.
    """
    with _fits("student"):
        own = module.student.state_dict()
        module.student.load_state_dict(split_as(state["student"], own))
    with _fits("adapters"):
        module.criterion.load_state_dict(state["adapters"])
    with _fits("memories"):
        module.criterion.load_memory(state["memories"])
    with _fits("loss weights"):
        module.criterion.loss_weights.load(state["loss_weights"])
    with _fits("optimizer"):
        _load_optimizer(optimizer, state["optimizer"])
    with _fits("moving average"):
        if (average is None) != (state["ema"] is None):
            raise ValueError("only one of the two has a moving average (train.ema)")
        if average is not None:
            average.load_state_dict(state["ema"])
    with _fits("loss scale"):
        if scaler is not None and state["scaler"] is not None:
            scaler.load_state_dict(state["scaler"])
    with _fits("random states"):
        states = state["random_states"]
        # Of more processes than saved it, further ones keep their initial state.
        if rank() < len(states):
            set_random_state(states[rank()])
    with _fits("last step"):
        return Step(**state["done"])


def _load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load its state; that of another rule is loaded without an error by torch, and refused here.

    Raises:
        ValueError: it is of other parameters or of another rule.
    """
    now, then = join_groups(optimizer.param_groups), state["param_groups"]
    if len(now) != len(then):
        raise ValueError(f"it has {len(then)} groups of parameters, expected {len(now)}")
    if any(("betas" in one) != ("betas" in other) for one, other in zip(now, then, strict=True)):
        raise ValueError("it is of another rule (train.optimizer)")
    own = dict(enumerate(each for group in now for each in group["params"]))
    of = {
        number: split_as(values, dict.fromkeys(values, own.get(number)))
        for number, values in state["state"].items()
    }
    groups = groups_as(then, optimizer.param_groups)
    optimizer.load_state_dict({**state, "state": of, "param_groups": groups})


@contextlib.contextmanager
def _fits(what: str) -> Iterator[None]:
    """Turn the errors of a state that is of something else into one sentence."""
    try:
        yield
    except RunError:
        raise
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise RunError(
            f"the checkpoint's {what} does not fit this recipe: {why[:MOST_LETTERS]}; resume with "
            "the recipe that the run began with, or start again"
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
