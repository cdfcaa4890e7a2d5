"""Runs of experiment trackers: opened once, continued by a resumed run, each point once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from mentee import files
from mentee.errors import RunError, shortened
from mentee.runs.folder import TRACKERS, Folder


class TrackerRun(Protocol):
    """A run of a tracker that is open."""

    id: str

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Store numbers of a step."""
        ...

    def close(self) -> None:
        """Finish what is still being written."""
        ...


NO_PACKAGE = (
    'the tracker {name} needs its package: pip install "mentee[{name}]"; or leave it out of '
    "trackers"
)

OpenRun: TypeAlias = Callable[[Path, str | None, Mapping[str, Any]], TrackerRun]
"""Opens a tracker's run: of a run's folder, its id (None: a new one) and the recipe."""


class TrackerSink:
    """Sends each point to a tracker's run once.

    `trackers/NAME.json` in the run's folder has the id of the tracker's run and the last step of
    each name. What was sent after the checkpoint that a run resumes from stays as it was sent. A
    tracker that fails during training is left alone after one warning; the training goes on.
    """

    def __init__(self, name: str, open_run: OpenRun, folder: Path, done: int) -> None:
        self._name, self._file = name, folder / TRACKERS / f"{name}.json"
        known: dict[str, Any] = {}
        if self._file.is_file():
            known = files.read_json(self._file, f"delete it, and {name} gets a new run")
        recipe = Folder(folder).read_recipe().model_dump(mode="json", exclude_none=True)
        self._last: dict[str, int] = known.get("last", {})
        self._file.parent.mkdir(exist_ok=True)
        try:
            self._run: TrackerRun | None = open_run(folder, known.get("id"), recipe)
        except Exception as error:  # of any kind: of the network, of an account
            raise RunError(
                f"the tracker {name} cannot be opened: {shortened(str(error), 300)}; set it up as "
                "its documentation says, or leave it out of trackers"
            ) from error
        self._id = self._run.id
        self._write()

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Send the numbers that it does not have."""
        new = {name: value for name, value in values.items() if step > self._last.get(name, -1)}
        if self._run is None or not new:
            return
        try:
            self._run.log(step, new)
        except Exception as error:
            self._give_up(error)
            return
        self._last |= dict.fromkeys(new, step)
        self._write()

    def close(self) -> None:
        """Send what is left."""
        try:
            if self._run is not None:
                self._run.close()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._run = None
        warnings.warn(
            f"the tracker {self._name} failed and gets nothing more of this run "
            f"({shortened(str(error), 300)}); metrics.jsonl has every number",
            stacklevel=2,
        )

    def _write(self) -> None:
        files.write_json(self._file, {"id": self._id, "last": self._last})


def load_tracker(name: str) -> Callable[[Path, int], TrackerSink]:
    """What opens the sink of a tracker.

    Raises:
        RunError: its package is not installed.
    """
    try:
        package = import_module(name)
    except ImportError as error:
        raise RunError(NO_PACKAGE.format(name=name)) from error
    open_run = import_module(f"mentee.training.trackers.{name}_run").open_run
    return lambda folder, done: TrackerSink(
        name, lambda *run: open_run(package, *run), folder, done
    )
