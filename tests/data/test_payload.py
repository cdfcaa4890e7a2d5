"""Encoded files of a folder or a column, and clips of one length."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.data.examples import with_seconds
from mentee.data.payload import ColumnFiles, FolderFiles
from mentee.errors import DataError


def _files(root: Path, n: int = 100) -> FolderFiles:
    names = [f"{i}.bin" for i in range(n)]
    for name in names:
        (root / name).write_bytes(b"x" + name.encode())
    return FolderFiles(root, names)


def test_files_of_a_folder_by_row(tmp_path: Path) -> None:
    assert _files(tmp_path).fetch(np.array([7, 0])) == [b"x7.bin", b"x0.bin"]


@pytest.mark.parametrize("change", ["content", "size", "time", "name"])
def test_a_stamp_is_another_where_a_file_is(change: str, tmp_path: Path) -> None:
    files = _files(tmp_path)
    before, path = files.stamp(), tmp_path / "99.bin"
    assert FolderFiles(tmp_path, list(files.names)).stamp() == before
    time = path.stat().st_mtime_ns
    if change == "content":  # of the same size and time
        path.write_bytes(b"y99.bin")
        os.utime(path, ns=(time, time))
    elif change == "size":
        path.write_bytes(b"")
    elif change == "time":
        os.utime(path, ns=(time, time + 1))
    else:
        path.rename(tmp_path / "100.bin")
        files.names = [*files.names[:-1], "100.bin"]
    assert files.stamp() != before
    path.unlink(missing_ok=True)
    files.names = ["99.bin"]
    with pytest.raises(DataError, match=r"99\.bin cannot be read .*put it back"):
        files.stamp()


def test_files_of_a_column(tmp_path: Path) -> None:
    import datasets

    (tmp_path / "b").write_bytes(b"bb")
    cells = [{"bytes": b"a", "path": None}, {"bytes": None, "path": str(tmp_path / "b")}]

    def column(rows: list[int]) -> ColumnFiles:
        table = datasets.Dataset.from_dict({"file": [cells[row] for row in rows]})
        return ColumnFiles(table.with_format("arrow"), "file")

    assert column([0, 1]).fetch(np.array([1, 0])) == [b"bb", b"a"]
    assert column([0, 1]).stamp() == column([0, 1]).stamp() != column([1, 0]).stamp()


CLIPS = [np.arange(1, 5, dtype=np.float32) / 8, np.arange(1, 9, dtype=np.float32) / 16]


def test_a_clip_is_cut_or_followed_by_silence():
    whole = open_examples({"audio": CLIPS, "sample_rate": 1000}, sample_rate=1000)
    cut = with_seconds(whole, 0.006)
    first, second = cut.read(np.array([0, 1]))
    assert first.tolist() == [0.125, 0.25, 0.375, 0.5, 0, 0]
    assert second.tolist() == [0.0625, 0.125, 0.1875, 0.25, 0.3125, 0.375]
    assert cut.fingerprint() == whole.fingerprint()
    assert cut.ids == whole.ids


def test_only_clips_have_seconds():
    with pytest.raises(DataError, match="image, which has no seconds to cut at"):
        with_seconds(open_examples("embedded:digits"), 1.0)
    with pytest.raises(DataError, match="have no sample at 1000 a second"):
        with_seconds(open_examples({"audio": CLIPS, "sample_rate": 1000}, sample_rate=1000), 0.0001)
