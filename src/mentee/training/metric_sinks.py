"""Where the numbers of a run go: `metrics.jsonl` always, and the trackers that a recipe names.

A new tracker is a class with the two methods of `MetricSink` and an entry of `TRACKERS`. One that
keeps its runs elsewhere is a file of `trackers/`, whose sink sends each point once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from mentee.errors import RecipeError, RunError, suggest
from mentee.runs.folder import Folder
from mentee.training.trackers import NO_PACKAGE, load_tracker


class MetricSink(Protocol):
    """Takes named numbers of a step."""

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Store numbers of a step.

        They are called `losses/TERM`, `weights/TERM`, `gradient_norms/TERM`, `lr`,
        `validation/SCORE`, `monitor/SCORE`, and `epoch`, from 1.
        """
        ...

    def close(self) -> None:
        """Finish what is still being written."""
        ...


SinkFactory: TypeAlias = Callable[[Path, int], MetricSink]
"""Opens a sink: of a run's folder, and of the step after which it continues."""


class JsonlSink:
    """A line of `metrics.jsonl` for each call; names with a slash are grouped.

    The lines of steps after `done` are dropped: they are logged again.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._folder = Folder(folder)
        if done:
            self._folder.forget_after(done)

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Add a line."""
        line: dict[str, Any] = {"step": step}
        for name, value in values.items():
            group, slash, rest = name.partition("/")
            if slash:
                line.setdefault(group, {})[rest] = value
            else:
                line[name] = value
        self._folder.log(line)

    def close(self) -> None:
        """Nothing is left open."""


class TensorBoardSink:
    """Scalars for TensorBoard, in the folder `tensorboard` of the run.

    Steps after `done` that were written before are purged.
    """

    def __init__(self, writer: Any, folder: Path, done: int) -> None:
        self._writer = writer(str(folder / "tensorboard"), purge_step=done + 1 if done else None)

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Write a scalar for each number."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def load_tensorboard() -> SinkFactory:
    """TensorBoard's sink."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RunError(NO_PACKAGE.format(name="tensorboard")) from error
    return lambda folder, done: TensorBoardSink(SummaryWriter, folder, done)


TRACKERS: dict[str, Callable[[], SinkFactory]] = {
    "tensorboard": load_tensorboard,
    **{name: partial(load_tracker, name) for name in ("mlflow", "trackio", "wandb")},
}
"""What a recipe may name in `trackers`: each loads its package, and returns what opens a sink."""


def load_trackers(names: Sequence[str]) -> list[SinkFactory]:
    """The trackers of a recipe, before anything is written.

    Raises:
        RecipeError: there is no such tracker.
        RunError: its package is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise RecipeError(f"trackers: there is no {name}; {suggest(name, TRACKERS)}")
    return [JsonlSink, *(TRACKERS[name]() for name in names)]


def named(group: str, values: Mapping[str, int | float]) -> dict[str, int | float]:
    """The names of a group, as a `MetricSink` takes them.

    Example:
        >>> named("losses", {"kl/logits": 0.5})
        {'losses/kl/logits': 0.5}
    """
    return {f"{group}/{name}": value for name, value in values.items()}
