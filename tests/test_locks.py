"""One process at a time in a folder, whoever it is, and nothing of it at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mentee import api, compare, locks, pipeline, probe, resume, sweep, train
from mentee.errors import RunError
from mentee.locks import folder_lock
from tests.conftest import cut_off, digits


@contextlib.contextmanager
def holder(folder: Path, *, beside: bool = False, child: float = 0.0) -> Iterator[int]:
    """Another process that has the lock of a folder, and may have one of its own that lives on."""
    reading, writing = os.pipe()
    number = os.fork()
    if number == 0:
        try:
            with folder_lock(folder, beside=beside):
                if child and os.fork() == 0:
                    time.sleep(child)
                    os._exit(0)
                os.write(writing, b"held")
                time.sleep(60)
        finally:
            os._exit(1)
    try:
        assert os.read(reading, 4) == b"held"
        yield number
    finally:
        kill(number)
        os.close(reading)
        os.close(writing)


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def test_whose_a_lock_is_and_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as number:
        owner = json.loads((folder / ".lock").read_text())
        assert (owner["pid"], owner["host"]) == (number, socket.gethostname())
        with pytest.raises(RunError) as refused, folder_lock(folder):
            pass
    text = str(refused.value)
    assert f"{folder} is in use: process {number} of {owner['owner']} on" in text
    assert "wait until it has ended, or choose another folder (where it has ended already" in text
    assert f"delete {folder}/.lock" in text


@pytest.mark.parametrize("beside", [False, True], ids=["inside", "beside"])
def test_what_a_killed_process_left_is_taken_over(beside: bool, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder, beside=beside) as number:
        kill(number)
        file = tmp_path / ".run.lock" if beside else folder / ".lock"
        assert file.is_file()
        with folder_lock(folder, beside=beside):
            assert json.loads(file.read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == [] if beside else [folder]
    assert not folder.exists() or not list(folder.iterdir())


def test_the_processes_that_a_killed_one_has_started_are_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path / "run", child=0.5) as number:
        kill(number)
        began = time.monotonic()
        with folder_lock(tmp_path / "run"):
            assert time.monotonic() - began < 5


def test_one_that_may_wait_gets_it_afterwards(tmp_path: Path) -> None:
    released = []
    with holder(tmp_path / "run") as number:

        def release() -> None:
            released.append(True)
            kill(number)

        threading.Timer(0.3, release).start()
        with folder_lock(tmp_path / "run", wait=True):
            assert released


@pytest.mark.parametrize(
    ("content", "free"),
    [
        pytest.param("", True, id="empty"),
        pytest.param("[1]", True, id="garbage"),
        pytest.param({"pid": 2**22 + 1}, True, id="a dead process"),
        pytest.param({"pid": 1}, False, id="a live process"),
        pytest.param({"pid": 2**22 + 1, "host": "elsewhere"}, False, id="another machine"),
    ],
)
def test_where_the_file_system_has_no_locks_the_owner_counts(
    content: Any, free: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    if isinstance(content, dict):
        content = json.dumps({"host": socket.gethostname(), **content})
    (tmp_path / ".lock").write_text(content)
    refused = contextlib.nullcontext() if free else pytest.raises(RunError, match="is in use")
    with refused, folder_lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert (tmp_path / ".lock").exists() is not free


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    for name in (".summary.json.x1y2z3.tmp", ".hidden", "mine.tmp"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".a1b2c3.tmp").mkdir()
    (tmp_path / ".a1b2c3.tmp" / "model.onnx").write_text("half")
    with folder_lock(tmp_path):
        pass
    assert sorted(each.name for each in tmp_path.iterdir()) == [".hidden", "mine.tmp"]


def test_folders_made_for_a_lock_that_nothing_followed_are_removed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"), folder_lock(tmp_path / "a" / "b"):
        raise RunError("no run")
    assert not list(tmp_path.iterdir())


RECIPE = digits(train={"epochs": 1}, save={"steps": 3, "minutes": None})
FAST = {"ways": ["knn"], "seeds": 1, "shares": [0.1], "who": ["student"]}


@pytest.mark.parametrize(
    ("work", "split"),
    [
        pytest.param(train, "", id="train"),
        pytest.param(partial(sweep, names=["none"], seeds=1), "", id="sweep"),
        pytest.param(partial(compare, names=["none"], seeds=1), "", id="compare"),
        pytest.param(partial(pipeline, views=1), "", id="pipeline"),
        pytest.param(partial(api.record_network, views=1), "train", id="record"),
    ],
)
def test_no_command_works_where_another_process_does(
    work: Callable[..., object], split: str, taught: Any, tmp_path: Path
) -> None:
    """Where it is refused it leaves nothing, and where the other has ended it works."""
    recipe, out = taught(method="kd", train={"epochs": 1}, probe=FAST), tmp_path / "out"
    with holder(out / split, beside=bool(split)):
        with pytest.raises(RunError, match="is in use: process"):
            work(recipe, out=out)
        assert [each.name for each in out.iterdir()] == [f".{split}.lock" if split else ".lock"]
    work(recipe, out=out)
    assert not list(out.rglob(".*"))


@pytest.mark.parametrize("work", [resume, probe], ids=["resume", "probe"])
def test_a_run_is_changed_by_one_process_at_a_time(
    work: Callable[[Path], object], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    if work is resume:
        cut_off(RECIPE, out, 7)
    else:
        train({**RECIPE, "probe": FAST}, out=out, quiet=True)
    before = {each: each.read_bytes() for each in out.rglob("*") if each.is_file()}
    with holder(out):
        with pytest.raises(RunError, match="run is in use: process"):
            work(out)
        (out / ".lock").unlink()
    assert {each: each.read_bytes() for each in out.rglob("*") if each.is_file()} == before
    work(out)
    assert not list(out.rglob(".*"))


def test_the_same_process_has_no_second_lock(tmp_path: Path) -> None:
    refused = pytest.raises(RunError, match=f"process {os.getpid()} of")
    with folder_lock(tmp_path), refused, folder_lock(tmp_path):
        pass
    assert locks.PATIENCE > 5, "longer than data loaders take to notice that their parent ended"
