"""Atomic writing of files: to a temporary file in the same folder, which then replaces them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mentee.errors import MenteeError, RunError


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Write a file atomically: after a crash the old one or the new one is there, never a half.

    Args:
        path: where the file goes; its folder is made.
        save: writes the content to the path that it gets.

    Raises:
        RunError: no space, no permission, or a folder that is a file; nothing is left behind.
    """
    with plain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            save(temporary)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def withdrawn_where_refused(file: Path) -> Iterator[None]:
    """Remove a new file, and its new folder, where an error comes before anything else is there."""
    new_file, new_folder = not file.exists(), not file.parent.exists()
    try:
        yield
    except MenteeError:
        alone = file.parent.is_dir() and {each.name for each in file.parent.iterdir()} <= {
            file.name
        }
        if alone and new_file:
            file.unlink(missing_ok=True)
        if alone and new_folder:
            file.parent.rmdir()
        raise


@contextlib.contextmanager
def plain_write_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors of a failed write into one clear error."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save raises a RuntimeError of its own while the system's is on its way
        system = error if isinstance(error, OSError) else error.__context__
        if not isinstance(system, OSError):
            raise
        why = {
            errno.ENOSPC: "no space is left there; free some, or choose another folder with --out",
            errno.EDQUOT: "the quota is used up; free some space, or choose another folder",
            errno.EFBIG: "files may not grow that large there; raise the limit (ulimit -f)",
            errno.EACCES: "permission is denied; choose a folder you may write to",
            errno.EPERM: "permission is denied; choose a folder you may write to",
            errno.EROFS: "the file system is read-only; choose another folder",
            errno.ENOTDIR: "a part of that path is a file, not a folder; choose another folder",
            errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
            errno.EEXIST: "a part of that path is a file, not a folder; choose another folder",
        }.get(system.errno or 0, str(system))
        raise RunError(f"cannot write {path}: {why}") from error
