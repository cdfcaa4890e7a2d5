"""The processes of a sweep."""

import threading
import warnings
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest

from mentee.build.overrides import PythonOverrides
from mentee.console import plain_warnings
from mentee.experiments.workers import Worker, WorkerMessage, run_in_processes


class Warns:
    """In the place of a job: warns when a worker reads it, and ends the worker."""

    def __reduce__(self):
        return warnings.warn, ("of a worker,\nin two lines",)


@pytest.mark.parametrize("plain", [True, False])
def test_a_worker_writes_warnings_as_the_command_line_does(plain, capfd, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", lambda *_: "as Python does")  # a command sets it
    if plain:
        plain_warnings()
    worker = Worker.start(PythonOverrides(), 1)
    worker.pipe.send(Warns())
    worker.process.join(120)
    lines = capfd.readouterr().err.splitlines()
    assert ("warning: of a worker, in two lines" in lines) == plain


def test_an_idle_worker_waits_for_what_the_runs_of_others_add(monkeypatch):
    b_ended, started, trained = threading.Event(), [], []

    def work(pipe, sentinel):
        pipe.send(WorkerMessage("", "ready"))
        while (name := pipe.recv()) is not None:
            if name == "a":
                assert b_ended.wait(60)
            pipe.send(WorkerMessage(name, "finished"))
        sentinel.close()

    def start(overrides, threads):
        (ours, theirs), (end, sentinel) = Pipe(), Pipe()
        thread = threading.Thread(target=work, args=(theirs, sentinel))
        thread.start()
        process = SimpleNamespace(is_alive=thread.is_alive, sentinel=end, kill=lambda: None)
        process.exitcode = 0
        started.append(thread)
        return Worker(process, ours)

    queue = ["a", "b"]

    def receive(message):
        trained.append(message.name)
        if message.name == "b":
            b_ended.set()
        if message.name == "a":
            queue.extend(["c", "d"])

    monkeypatch.setattr(Worker, "start", start)
    stop = SimpleNamespace(number=None)
    run_in_processes(queue, PythonOverrides(), 2, 1, receive, stop)
    assert trained[:2] == ["b", "a"]
    assert sorted(trained[2:]) == ["c", "d"]
    assert len(started) == 2  # none ended before the last run
    for thread in started:
        thread.join(60)
