"""Folders that are either whole or not there: written hidden beside their place, then moved.

What a killed process left behind is taken up again by the next one that has the same plan.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mentee import files
from mentee.errors import DataError
from mentee.files import plain_write_errors
from mentee.records.manifest import MANIFEST

PLAN = "plan.json"
_PARTIAL = ".partial"


@dataclass(frozen=True)
class StartedRecord:
    """A hidden folder that is being written.

    Attributes:
        path: where it is.
        created: when it was begun, ISO 8601 in UTC; of the first process, if that was killed.
    """

    path: Path
    created: str


@contextlib.contextmanager
def new_folder(
    out: Path, plan: Mapping[str, Any], *, overwrite: bool = False
) -> Iterator[StartedRecord]:
    """A hidden folder beside `out`, which takes its place when all went well.

    A folder that a killed or interrupted process left there is gone on with where its plan was the
    same, else removed; one that a living process writes to is left alone.

    Args:
        out: where the folder is to be in the end.
        plan: what is going to be written, JSON-able.
        overwrite: put it in the place of a record that is there; for a moment there is none.

    Yields:
        The folder to write in; it is gone after an error.

    Raises:
        DataError: something is there.
        RunError: the folder cannot be written.
    """
    refuse_taken(out, overwrite=overwrite)
    plan = json.loads(json.dumps(plan))  # as it is read again: tuples are lists
    with contextlib.ExitStack() as held:
        with plain_write_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            begun = _left_over(out, plan, held) or _begin(out, plan, held)
        try:
            yield begun
            refuse_taken(out, overwrite=overwrite)
            with plain_write_errors(out):
                (begun.path / PLAN).unlink()
                begun.path.chmod(0o755)
                if out.exists():
                    out.rename(_hidden(out) / "old")
                begun.path.rename(out)
                _left_over(out, {}, held)
        except Exception:  # an interruption is none: what is written by then is gone on with
            shutil.rmtree(begun.path, ignore_errors=True)
            raise


def refuse_taken(out: Path, *, overwrite: bool = False) -> None:
    """Make sure that a record may be written to this folder.

    Args:
        out: the folder.
        overwrite: a record may be there.

    Raises:
        DataError: something is there.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise DataError(f"{out} is there and is no record; choose another folder")
    if not overwrite:
        raise DataError(
            f"{out} is a record already; choose another folder, or say that it is to be "
            "overwritten (--overwrite)"
        )


def _begin(out: Path, plan: Mapping[str, Any], held: contextlib.ExitStack) -> StartedRecord:
    folder = _hidden(out)
    held.enter_context(locked(folder))
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    files.write_json(folder / PLAN, {"created": created, "plan": plan})
    return StartedRecord(folder, created)


def _left_over(
    out: Path, plan: Mapping[str, Any], held: contextlib.ExitStack
) -> StartedRecord | None:
    """What was left of the same plan, now held; what was left of others is removed."""
    if os.name != "posix":  # no locks there that tell who still writes
        return None
    found: StartedRecord | None = None
    for folder in out.parent.glob(f".{glob.escape(out.name)}.*{_PARTIAL}"):
        with contextlib.ExitStack() as mine, contextlib.suppress(OSError):
            mine.enter_context(locked(folder))
            begun = _planned(folder)
            if found is None and begun is not None and begun[1] == plan:
                found = StartedRecord(folder, begun[0])
                held.enter_context(mine.pop_all())
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return found


def _planned(folder: Path) -> tuple[str, Any] | None:
    try:
        said = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return said["created"], said["plan"]
    except (OSError, ValueError, KeyError):
        return None


def _hidden(out: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=_PARTIAL, dir=out.parent))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder as long as this process lives; an OSError where another one holds it."""
    if os.name != "posix":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
