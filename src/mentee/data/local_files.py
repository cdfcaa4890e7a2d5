"""Which files of a source may be read: regular ones, inside its folder unless the user says so."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from mentee.data.unreadable import UnreadableError
from mentee.errors import DataError

_IGNORED = (".", "__MACOSX")


def read_bytes(path: Path) -> bytes:
    """The content of a regular file; a device or a pipe, which may never end, is refused.

    Raises:
        DataError: it cannot be read, or is no regular file.
    """
    try:
        check_regular(path)
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, f"{error.strerror}") from error


def check_regular(path: Path) -> os.stat_result:
    """Refuse what is no regular file; returns its size, times and the like."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: NUL in its name
        raise unreadable(path, getattr(error, "strerror", None) or f"{error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise unreadable(path, "it is no regular file")
    return status


def unreadable(path: Path, why: str) -> UnreadableError:
    """The error of a file that cannot be read."""
    return UnreadableError.of(f"the file {path} cannot be read", why, "put it back")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of any data."""
    return name.startswith(_IGNORED)


def files_below(base: Path, root: Path, *, outside: bool) -> tuple[list[str], list[str]]:
    """The paths in `base` of all files and of all folders below it; hidden names are left out.

    Args:
        base: the folder.
        root: the source's folder, which links must not leave.
        outside: they may.

    Returns:
        Files and folders, both sorted; links are followed.

    Raises:
        DataError: a folder cannot be read, a link leads out of `root` and none may go `outside`, or
            two paths lead to one folder, such as a link to a folder above it.
    """
    names: list[str] = []
    folders: list[str] = []
    links: list[str] = []
    seen: dict[tuple[int, int], Path] = {}
    waiting = [""]
    try:
        while waiting:
            at = waiting.pop()
            status = os.stat(base / at)
            if before := seen.get(key := (status.st_dev, status.st_ino)):
                raise DataError(
                    f"{base / at} and {before} are one folder, of which one is a link; "
                    "remove the link, or nothing would tell its files from the others"
                )
            seen[key] = base / at
            for entry in os.scandir(base / at):
                if is_hidden(entry.name):
                    continue
                name = at + entry.name
                if entry.is_symlink():
                    links.append(name)
                    if not outside and leaves(base / name, root):
                        continue
                if os.path.isdir(base / name):
                    waiting.append(f"{name}/")
                    folders.append(name)
                else:
                    names.append(name)
    except OSError as error:
        raise unreadable(base / at, f"{error.strerror}") from error
    refuse_outside(root, [base / name for name in links], outside=outside)
    return sorted(names), sorted(folders)


def leaves(path: Path, root: Path) -> bool:
    """Whether a path, its links followed, is outside of a folder."""
    real, inside = os.path.realpath(path), os.path.realpath(root)
    return real != inside and not real.startswith(os.path.join(inside, ""))


def refuse_outside(
    root: Path, paths: Sequence[Path], *, outside: bool = False, named_by: str = ""
) -> None:
    """Refuse files outside of a source's folder, which a table names or links lead to."""
    if outside:
        return
    out = list(_outside(root, [path for path in paths if path != root]))
    if out:
        count, one = f"{len(out):,}", len(out) == 1
        if named_by:
            what = f"{named_by} names {count} path{'' if one else 's'} outside of {root}"
        else:
            what = (
                f"{count} link{' in ' if one else 's in '}{root} lead{'s' if one else ''} out of it"
            )
        raise DataError(
            f"{what}, such as {str(out[0])!r}; only files in the folder are read: copy them there, "
            "or allow others with data.outside: true"
        )


def _outside(root: Path, paths: Iterable[Path]) -> Iterable[Path]:
    # A file is where its folder is, unless it is a link: few paths have to be resolved.
    folders: dict[Path, bool] = {}
    for path in paths:
        parent = path.parent
        if parent not in folders:
            folders[parent] = leaves(parent, root)
        if folders[parent] or ((path.is_symlink() or path.name == "..") and leaves(path, root)):
            yield path
