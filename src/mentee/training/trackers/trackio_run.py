"""Trackio: in its own folder, or where `TRACKIO_SPACE_ID` or `TRACKIO_SERVER_URL` says."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TrackioRun:
    """A run of trackio."""

    def __init__(self, trackio: Any, run: Any, name: str) -> None:
        self._trackio, self._run, self.id = trackio, run, name

    def log(self, step: int, values: Mapping[str, int | float]) -> None:
        """Send numbers of a step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left."""
        with contextlib.redirect_stdout(sys.stderr):
            self._trackio.finish()


def open_run(trackio: Any, folder: Path, id: str | None, recipe: Mapping[str, Any]) -> TrackioRun:
    """Begin a run of the project `mentee`, or continue one; its lines go to standard error."""
    name = id or f"{folder.resolve().name}-{secrets.token_hex(4)}"  # a run is known by its name
    with contextlib.redirect_stdout(sys.stderr):
        run = trackio.init("mentee", name=name, config=dict(recipe), resume="allow", embed=False)
    return TrackioRun(trackio, run, name)
