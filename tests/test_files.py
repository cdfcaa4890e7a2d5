from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from mentee import files
from mentee.errors import RunError


def test_folders_are_made_and_everybody_may_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.json"
    files.write_json(path, {"é": [1, 2.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": [1, 2.5, None]}
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["c.json"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_text(path, "old")

    def save(beside: Path) -> None:
        beside.write_text("new")
        assert beside.parent == tmp_path, "on the same file system, so that moving is atomic"
        assert path.read_text() == "old"

    files.write(path, save)
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "no space is left there; free some, or choose another folder with --out"),
        (errno.EDQUOT, "the quota is used up; free some space, or choose another folder"),
        (errno.EFBIG, "files may not grow that large there; raise the limit (ulimit -f)"),
        (errno.EACCES, "permission is denied; choose a folder you may write to"),
        (errno.EPERM, "permission is denied; choose a folder you may write to"),
        (errno.EROFS, "the file system is read-only; choose another folder"),
        (errno.ENOTDIR, "a part of that path is a file, not a folder; choose another folder"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_what_the_system_says_is_said_plainly(number: int, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_text(path, "old")

    def fail(beside: Path) -> None:
        beside.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(RunError) as caught:
        files.write(path, fail)
    assert str(caught.value).startswith(f"cannot write {path}: ")
    assert text in str(caught.value)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_an_error_that_is_hidden_behind_another_is_found(tmp_path: Path) -> None:
    def fail(beside: Path) -> None:
        try:
            raise OSError(errno.ENOSPC, "full")
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")

    with pytest.raises(RunError, match="no space is left there"):
        files.write(tmp_path / "a", fail)


def test_other_errors_pass_through(tmp_path: Path) -> None:
    def fail(beside: Path) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        files.write(tmp_path / "a", fail)
    assert not list(tmp_path.iterdir())
