"""Folders and files in object storage, by URL: as many of a path's methods as records need."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mentee.errors import DataError, MenteeError, RunError

_URL = re.compile(r"[a-z][a-z0-9+.-]+(::[a-z][a-z0-9+.-]+)*://.")
_COLLAPSED = re.compile(r"[a-z][a-z0-9+.-]+:/[^/]")  # what a path makes of a URL


class Url:
    """A file, or what begins with a prefix, wherever fsspec reads and writes: `s3://bucket/records`.

    An object is there as a whole or not at all, so writing is atomic. Credentials, endpoint and
    retries are fsspec's own (environment variables such as `AWS_ENDPOINT_URL`, its configuration).
    Methods are those of `pathlib.Path`; a missing object is a `FileNotFoundError`.

    Raises:
        RunError: in every method: the storage refuses, or cannot be reached.
        DataError: the same: the package that fsspec needs for it is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._kept: tuple[int, Any, str] | None = None

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"Url({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self._url == other._url

    def __lt__(self, other: Url) -> bool:
        return self._url < other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __reduce__(self) -> tuple[type[Url], tuple[str]]:
        return Url, (self._url,)  # no connection for another process

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self._url}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self._url.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        """What it is in."""
        return Url(self._url.rpartition("/")[0])

    def size(self) -> int | None:
        """The bytes of the file; None: there is none."""
        system, path = self._opened
        try:
            with self._plain_errors("read", missing=False):
                system.invalidate_cache(path)  # other processes write there too
                entry = system.info(path)
        except FileNotFoundError:
            return None
        return int(entry["size"]) if entry["type"] == "file" else None

    def stamp(self) -> str:
        """What changes with the content of the file."""
        system, path = self._opened
        with self._plain_errors("read"):
            system.invalidate_cache(path)
            return f"{self} {system.ukey(path)}"

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return self.size() is not None

    def is_dir(self) -> bool:
        """Whether there are objects whose names begin with this one and a slash."""
        return bool(self._list())

    def exists(self) -> bool:
        """Whether it is a file or a folder."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[Url]:
        """The files and folders in the folder."""
        names = (str(each["name"]).rstrip("/").rpartition("/")[2] for each in self._list())
        return (self / name for name in names)

    def glob(self, pattern: str) -> Iterator[Url]:
        """The files and folders below that fit a pattern."""
        system, path = self._opened
        with self._plain_errors("read"):
            system.invalidate_cache()
            names = system.glob(f"{path}/{pattern}")
        start = len(path.strip("/")) + 1
        return iter([self / name.strip("/")[start:] for name in names])

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Read the file from its beginning to its end, a few MB at a time."""
        system, path = self._opened
        with self._plain_errors("read", missing=False):
            return system.open(path, mode)  # type: ignore[no-any-return]

    def read_bytes(self) -> bytes:
        """The content."""
        system, path = self._opened
        with self._plain_errors("read", missing=False):
            return system.cat_file(path)  # type: ignore[no-any-return]

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content as text."""
        return self.read_bytes().decode(encoding)

    def read_ranges(
        self, names: Sequence[str], starts: Sequence[int], stops: Sequence[int]
    ) -> list[bytes]:
        """Bytes `start` to `stop` of files in the folder, all at the same time.

        Raises:
            DataError: a file is missing, or shorter.
        """
        system, path = self._opened
        files = [f"{path}/{name}" for name in names]
        try:
            with self._plain_errors("read", missing=False):
                parts = system.cat_ranges(files, list(starts), list(stops), on_error="raise")
        except FileNotFoundError as error:
            raise DataError(f"{self} lacks a file that was there before ({error})") from error
        for name, start, stop, part in zip(names, starts, stops, parts, strict=True):
            if len(part) != stop - start:
                raise DataError(
                    f"{self / name} is damaged: it has {len(part):,} of the {stop - start:,} bytes "
                    f"from {start:,} on; write it again, or copy it from where it was whole"
                )
        return parts  # type: ignore[no-any-return]

    def write_bytes(self, content: bytes) -> None:
        """Write the content in one request: whole, or as it was, however this process ends."""
        system, path = self._opened
        with self._plain_errors("written"):
            system.pipe_file(path, content)

    def upload(self, file: IO[bytes]) -> None:
        """Write the content of a local file, a few MB at a time; an interruption may cut it."""
        system, path = self._opened
        file.seek(0)
        with self._plain_errors("written"), system.open(path, "wb") as target:
            shutil.copyfileobj(file, target, 1 << 20)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        system, path = self._opened
        try:
            with self._plain_errors("removed", missing=False):
                system.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove(self) -> None:
        """Remove the folder with all that is in it, where there is one."""
        system, path = self._opened
        if self.is_dir():
            with self._plain_errors("removed"):
                system.rm(path, recursive=True)

    def _list(self) -> list[dict[str, Any]]:
        system, path = self._opened
        try:
            with self._plain_errors("read", missing=False):
                system.invalidate_cache(path)  # other processes write there too
                entries = system.ls(path, detail=True)
        except FileNotFoundError:
            return []
        # A file is listed as itself, and a folder may be an object of its own.
        return [each for each in entries if each["name"].strip("/") != path.strip("/")]

    @property
    def _opened(self) -> tuple[Any, str]:
        """The file system, which a forked process has to open anew, and the path there."""
        from fsspec.core import url_to_fs

        if self._kept is not None and self._kept[0] == os.getpid():
            return self._kept[1:]
        try:
            system, path = url_to_fs(self._url)
        except (ImportError, ValueError) as error:
            raise DataError(
                f"{self} cannot be opened: {error} (s3:// needs pip install 'mentee[s3]', gs:// "
                "pip install gcsfs; others are listed by fsspec.available_protocols())"
            ) from error
        self._kept = (os.getpid(), system, path.rstrip("/"))
        return self._kept[1:]

    @contextlib.contextmanager
    def _plain_errors(self, what: str, missing: bool = True) -> Iterator[None]:
        """Turn what a storage raises, into one error; a missing object if told."""
        try:
            yield
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not missing:
                raise
            raise RunError(
                f"{self} cannot be {what}: {str(error) or type(error).__name__}; check the "
                "address, the credentials and the network, and run the same again: it resumes"
            ) from error


def as_url(name: object) -> Url | Path | None:
    """What a user named by URL: in object storage, or a local path (`file://`); None: no URL.

    Raises:
        MenteeError: a `Path` was made of a URL, which loses a slash.

    Example:
        >>> as_url("s3://bucket/records/"), as_url("file:///data/records"), as_url("records")
        (Url('s3://bucket/records'), PosixPath('/data/records'), None)
    """
    text = str(name)
    if isinstance(name, Url):
        return name
    if isinstance(name, Path) and _COLLAPSED.match(text):
        raise MenteeError(f"{text} is a URL that was made a Path, which it is not; pass it as text")
    if not isinstance(name, str) or not _URL.match(text):
        return None
    scheme, _, path = text.partition("://")
    return Path(path) if scheme in ("file", "local") else Url(text)
