"""Folders that are either whole or not there: written hidden beside their place, then moved."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mentee.errors import DataError
from mentee.files import said_plainly
from mentee.teachers.record.manifest import MANIFEST

_PARTIAL = ".partial"


@contextlib.contextmanager
def new_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A hidden folder beside `out`, which takes its place when all went well.

    What a killed process left behind is removed by the next one that writes to `out`; a folder
    that a living process writes to is left alone.

    Args:
        out: where the folder is to be in the end.
        overwrite: put it in the place of a record that is there; for a moment there is none.

    Yields:
        The folder to write in; it is gone after an error.

    Raises:
        DataError: something is there.
        RunError: the folder cannot be written.
    """
    refuse_taken(out, overwrite=overwrite)
    with said_plainly(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(out)
        folder = _hidden(out)
    try:
        with _locked(folder):
            yield folder
            refuse_taken(out, overwrite=overwrite)
            with said_plainly(out):
                folder.chmod(0o755)
                if out.exists():
                    out.rename(_hidden(out) / "old")
                folder.rename(out)
                _remove_left_over(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _hidden(out: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=_PARTIAL, dir=out.parent))


def _remove_left_over(out: Path) -> None:
    if os.name != "posix":  # no locks there that tell who still writes
        return
    for folder in out.parent.glob(f".{glob.escape(out.name)}.*{_PARTIAL}"):
        with contextlib.suppress(OSError), _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
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
