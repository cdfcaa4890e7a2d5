"""One process at a time in a folder: a run, a sweep, a pipeline or a record.

A lock is the file `.lock` with its owner, and the system's lock on that file, which ends with the
process however it ends (on shared file systems too): what a killed process left is taken over.
The package filelock locks as well, but does not tell whose a lock is.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mentee.errors import RunError
from mentee.files import plain_write_errors, remove_temporaries
from mentee.parallel import gather_objects, rank
from mentee.urls import Url

NAME = ".lock"
RETRY_INTERVAL = 0.1
PATIENCE = 30.0
"""Seconds that are waited for processes which a dead owner has started: they end by themselves."""


@contextlib.contextmanager
def folder_lock(folder: Path | Url, *, beside: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a folder against all other processes; of several that train together the first does.

    Temporary files that a killed process left in the folder are removed. A folder that was made
    for the lock and is still empty at the end is removed too. With `beside` the lock lies beside
    the folder, which may be replaced by another one meanwhile. With `wait` the end of another
    process is waited for; else it is refused. In object storage there are no locks.

    Raises:
        RunError: another process is at work there, or the lock cannot be written.
    """
    if isinstance(folder, Url):
        yield
        return
    file = folder.with_name(f".{folder.name}{NAME}") if beside else folder / NAME
    made, handle, problem = list[Path](), None, None
    if rank() == 0:
        made = [each for each in (file.parent, *file.parent.parents) if not each.exists()]
        try:
            with plain_write_errors(folder):
                file.parent.mkdir(parents=True, exist_ok=True)
                handle = _acquire(file, folder, wait)
        except RunError as error:
            problem = str(error)
    for text in gather_objects(problem):
        raise RunError(text)
    try:
        if handle is not None and not beside:
            remove_temporaries(folder)
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                file.unlink()  # before it is released: no other process has it yet
            os.close(handle)
        with contextlib.suppress(OSError):  # not empty
            for each in made:
                each.rmdir()


def _acquire(file: Path, folder: Path, wait: bool) -> int | None:
    """Lock a file and write the owner into it; returns its handle.

    None where there are no locks, and in a folder that is read only, where nobody writes.

    Raises:
        RunError: another process has it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        return None
    began = time.monotonic()
    while True:
        if (handle := _open(file)) is None:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:  # a file system without locks: what the file says has to do
            free = _is_dead(_read_owner(file))
        if free and _is_same(handle, file):
            with contextlib.suppress(OSError):  # another user's file, or a full disk
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(_this_process()).encode())
            return handle
        os.close(handle)
        owner = _read_owner(file)
        patient = _is_dead(owner) and time.monotonic() - began < PATIENCE
        if not (free or wait or patient):
            raise RunError(
                f"{folder} is in use: {_describe(owner)}; wait until it has ended, or choose "
                f"another folder (where it has ended already, delete {file})"
            )
        if not free:
            time.sleep(RETRY_INTERVAL)


def _open(file: Path) -> int | None:
    """Open a lock's file, or one that another user left; None where it cannot be."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    with contextlib.suppress(OSError):
        return os.open(file, os.O_RDONLY)
    return None


def _is_same(handle: int, file: Path) -> bool:
    """Whether an open file still has its name: the owner before removes it."""
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except FileNotFoundError:
        return False


def _this_process() -> dict[str, Any]:
    try:
        owner = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        owner = str(os.getuid())
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {
        "owner": owner,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": command,
        "since": since,
    }


def _read_owner(file: Path) -> Mapping[str, Any]:
    """What the file says; empty where its process is only just writing it."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_dead(owner: Mapping[str, Any]) -> bool:
    """Whether the owner was a process of this machine that is no more, or none is named."""
    pid = owner.get("pid")
    if not isinstance(pid, int):
        return True
    if owner.get("host") != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _describe(owner: Mapping[str, Any]) -> str:
    if not owner:
        return "another process is at work there"
    who = f"process {owner.get('pid')} of {owner.get('owner')} on {owner.get('host')}"
    return f"{who} is at work there since {owner.get('since')} ({owner.get('command')})"
