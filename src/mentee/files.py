"""Atomic writing of files: to a temporary file in the same folder, which then replaces them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentee.errors import MenteeError, RunError, shortened
from mentee.urls import Url, as_url

if TYPE_CHECKING:
    from torch import Tensor

TEMPORARY = ".tmp"
"""How the names of temporary files end; they begin with a dot."""


def usable(name: str | Path) -> Path:
    """A path that a user named.

    Raises:
        MenteeError: no file can have such a name.

    Example:
        >>> usable("a" * 300)
        Traceback (most recent call last):
        mentee.errors.MenteeError: no file can be called aaaaaaaaaaaa... (300 characters)
    """
    if not isinstance(name, (str, os.PathLike)):
        raise MenteeError(f"a file or folder is a path, not {shortened(repr(type(name)), 60)}")
    try:
        parts = [os.fsencode(part) for part in Path(name).parts]
    except UnicodeEncodeError:
        parts = [b"\0"]
    if any(len(part) > 255 or b"\0" in part for part in parts) or sum(map(len, parts)) > 4000:
        raise MenteeError(f"no file can be called {shortened(ascii(str(name))[1:-1], 12)}")
    return Path(name)


def located(name: str | Path | Url) -> Path | Url:
    """A path, or a URL in object storage, that a user named.

    Raises:
        MenteeError: no file can have such a name.
    """
    return as_url(name) or usable(name)  # type: ignore[arg-type]


def write(path: Path | Url, save: Callable[[Path], object]) -> None:
    """Write a file atomically: after a crash the old one or the new one is there, never a half.

    `save` writes the content to the path that it gets; the file's folder is made.

    Raises:
        RunError: no space, no permission, or a folder that is a file; nothing is left behind.
    """
    if isinstance(path, Url):
        with tempfile.TemporaryDirectory(prefix="mentee-") as folder:
            save(local := Path(folder) / path.name)
            path.write_bytes(local.read_bytes())
        return
    with plain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(TEMPORARY, f".{path.name}.", path.parent)
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


def write_text(path: Path | Url, text: str) -> None:
    """Write a text file atomically."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path | Url, content: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """Read a JSON file that holds an object; where that fails the advice says what to do.

    Raises:
        RunError: it is empty, cut, no JSON or something else than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        empty = path.is_file() and not path.stat().st_size
        why = "it is empty" if empty else f"it is cut or no JSON: {error}"
        raise RunError(f"{path} cannot be read, {why}; {advice}") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise RunError(f"{path} holds a {kind}, expected an object of JSON; {advice}")
    return content


def read_tensors(path: Path | Url) -> dict[str, Tensor]:
    """Read a safetensors file, whose package maps only files with a name in UTF-8.

    Raises:
        OSError: there is none.
        SafetensorError: it is damaged.
    """
    from safetensors.torch import load, load_file

    if isinstance(path, Url):
        return load(path.read_bytes())
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return load(path.read_bytes())
    return load_file(path)


def remove_folder(path: Path | Url) -> None:
    """Remove a folder with all that is in it, as far as there is one and it can be removed."""
    if isinstance(path, Url):
        path.remove()
    else:
        shutil.rmtree(path, ignore_errors=True)


def remove_temporaries(*folders: Path) -> None:
    """Remove the temporary files and folders of processes that were killed while they wrote."""
    for folder in folders:
        for each in folder.glob(f".*{TEMPORARY}"):
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)


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
def plain_write_errors(path: Path | Url) -> Iterator[None]:
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
