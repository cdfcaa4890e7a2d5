"""The report of a run, written again from its files."""

from __future__ import annotations

import json
from pathlib import Path

from mentee import files
from mentee.errors import RunError
from mentee.report import page
from mentee.runs.folder import Folder


def write_report(path: str | Path) -> str:
    """Write a finished run's `report.md` from its other files, and return it.

    Args:
        path: the run's folder.

    Raises:
        RunError: there is no run, or it is not finished.
    """
    folder = Folder(Path(path))
    folder.must_exist()
    if not folder.summary.is_file():
        raise RunError(f"{folder.path} is not finished; go on with mentee resume {folder.path}")
    text = page(
        json.loads(folder.summary.read_text(encoding="utf-8")),
        folder.read_metrics(),
        folder.recipe.read_text(encoding="utf-8"),
        folder.read_probe(),
    )
    files.write_text(folder.report, text)
    return text
