"""Processes of one's own: Python as a person starts it, forked from one that has imported it all.

An import of everything that a command needs takes seconds of CPU; a fork of an interpreter that has
done it and has computed nothing takes milliseconds, and is killed, signalled and resumed as any.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import gc
import json
import multiprocessing.util
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]


class Forked:
    """A forked process that leads a session, as `subprocess.Popen` has it: what the tests use."""

    def __init__(self, pid: int, out: Path, err: Path) -> None:
        self.pid, self.returncode = pid, None
        self.files = (out, err)

    def poll(self) -> int | None:
        """The exit status, negative that of a signal; None: it has not ended."""
        if self.returncode is None:
            self.returncode = ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """The exit status, once it has ended."""
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return status

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """What it printed, once it has ended: standard output and standard error."""
        self.wait(timeout)
        out, err = (file.read_text(encoding="utf-8", errors="replace") for file in self.files)
        return out, err

    def kill(self) -> None:
        """End its session, if it has not ended."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)


def start(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Forked:
    """`python ARGUMENTS`, of the forms `-m module`, `-c code` and `script.py`, each with others."""
    number = next(numbers)
    out, err = (_server()[1] / f"{number}.{name}" for name in ("out", "err"))
    request = {
        "arguments": [*map(str, arguments)],
        "cwd": str(cwd or Path.cwd()),
        "environment": {**os.environ, "OMP_NUM_THREADS": "1", **environment},
        "files": [str(out), str(err)],
    }
    return Forked(ask(request), out, err)


numbers = iter(range(1_000_000))


class Two:
    """Two forked processes, or more, of one run, with what torchrun tells each of them."""

    def __init__(self, *arguments: str | Path, cwd: Path, count: int = 2) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        alike = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        alike |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        self.each = [
            start(*arguments, cwd=cwd, RANK=rank, LOCAL_RANK=rank, **alike)
            for rank in map(str, range(count))
        ]

    def poll(self) -> int | None:
        """Of the first to end badly, else of the last to end."""
        found = [process.poll() for process in self.each]
        return next((status for status in found if status), None if None in found else 0)

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """What all printed; the others are ended where one ended badly."""
        end = time.monotonic() + timeout
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        if self.poll() != 0:
            self.kill()
        out, err = zip(*[process.communicate() for process in self.each], strict=True)
        return "".join(out), "".join(err)

    @property
    def returncode(self) -> int | None:
        """As `poll` has it."""
        return self.poll()

    def kill(self) -> None:
        """End all."""
        for process in self.each:
            process.kill()


def launch(
    *arguments: str | Path,
    cwd: Path,
    launcher: list[str],
    program: str = sys.executable,
    **environment: str,
) -> subprocess.Popen[str]:
    """What a launcher of several processes starts, in a process group of their own."""
    more = {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.Popen(
        [program, *launcher, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **more, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str] | Forked | Two, seconds: float = 240) -> str:
    """What a launch printed, once it has ended well; else all of it is ended, and said."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            if isinstance(process, subprocess.Popen):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    assert process.returncode == 0, out + err
    return out


@functools.cache
def _server() -> tuple[subprocess.Popen[str], Path, tempfile.TemporaryDirectory[str]]:
    """The interpreter that is forked; it ends with the one that asks it."""
    folder = tempfile.TemporaryDirectory(prefix="forked-")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.processes"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return server, Path(folder.name), folder


def ask(request: dict[str, Any]) -> Any:
    """The server's answer to a request."""
    server = _server()[0]
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def serve() -> dict[str, Any] | None:
    """Fork for each request: returns it in the fork; None at the end of them."""
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if "poll" in request:
            done, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if done else None
        elif (answer := os.fork()) == 0:
            return request
        print(json.dumps(answer), flush=True)
    return None


def carry_out(request: dict[str, Any]) -> None:
    """Run what was asked for, as the interpreter does that is started with these arguments."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    handles = [os.open(os.devnull, os.O_RDONLY), *(os.open(f, flags) for f in request["files"])]
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    fork_spawned()
    first, *rest = request["arguments"]
    if first == "-c":
        code, *sys.argv[1:] = rest
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(main))
    elif first == "-m":
        module, *sys.argv[1:] = rest
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = request["arguments"]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


def fork_spawned() -> None:
    """Let `multiprocessing` fork what it spawns from this process as it is now.

    Each is a child of this process, gets what a new interpreter gets, and its name is `spawned`.
    """
    original = multiprocessing.util.spawnv_passfds
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        here.close()
        fork_for(there)
    there.close()
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what a child's child leaves is ours

    def spawn(path: bytes, arguments: list[str], handles: Sequence[int]) -> int:
        if "--multiprocessing-fork" not in arguments:
            return original(path, arguments, handles)
        request = {
            "code": arguments[arguments.index("-c") + 1],
            "environment": dict(os.environ),
            "handles": [*handles],
            "deaf": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        }
        socket.send_fds(here, [json.dumps(request).encode()], [*handles])
        return int(here.recv(64))

    multiprocessing.util.spawnv_passfds = spawn


def fork_for(asking: socket.socket) -> NoReturn:
    """Fork for each request until the process that asks has ended, whose children the forks are."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        message, handles, *_ = socket.recv_fds(asking, 2**18, 16)
        if not message:
            os._exit(0)
        end, pid_to = os.pipe()
        if (between := os.fork()) == 0:
            if pid := os.fork():
                os.write(pid_to, str(pid).encode())
                os._exit(0)
            for handle in (asking.detach(), end, pid_to):
                os.close(handle)
            be_spawned(json.loads(message), handles)
            os._exit(1)
        os.waitpid(between, 0)
        asking.send(os.read(end, 64))
        for handle in (end, pid_to, *handles):
            os.close(handle)


def be_spawned(request: dict[str, Any], handles: Sequence[int]) -> None:
    """Run what a spawned interpreter runs, to the end of this process."""
    Path("/proc/self/comm").write_text("spawned")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN if request["deaf"] else signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    aside = [fcntl.fcntl(handle, fcntl.F_DUPFD, 500) for handle in handles]
    for handle, number in zip(aside, request["handles"], strict=True):
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = ["-c", "--multiprocessing-fork"]
    exec(compile(request["code"], "<string>", "exec"), {})


if __name__ == "__main__":
    from tests.campaigns.kills import warm_up

    warm_up()
    gc.freeze()  # else a fork copies what its collections of garbage mark
    asked = serve()
    if asked is not None:
        carry_out(asked)
