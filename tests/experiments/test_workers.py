"""The processes of a sweep."""

import threading
import warnings
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest

from mentee.build.overrides import PythonOverrides
from mentee.console import plain_warnings
from mentee.experiments.executors import run_jobs
from mentee.experiments.executors.local import LocalExecutor, Worker
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage


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


def named(name):
    return Job("", "", 0, None, Path(name))


def test_an_idle_worker_waits_for_what_the_runs_of_others_add(monkeypatch):
    b_ended, started, trained, steps = threading.Event(), [], [], []

    def work(pipe, sentinel):
        pipe.send(WorkerMessage("", "ready"))
        while (job := pipe.recv()) is not None:
            name = job.name
            pipe.send(WorkerMessage(name, "step", 1))
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

    def receive(message):
        if message.event == "step":
            steps.append(message.name)
            return []
        trained.append(message.name)
        if message.name == "b":
            b_ended.set()
        return [*map(named, "cd")] if message.name == "a" else []

    monkeypatch.setattr(Worker, "start", start)
    executor = LocalExecutor(2, PythonOverrides())
    executor.open(4)
    run_jobs(executor, [*map(named, "ab")], receive, SimpleNamespace(number=None))
    assert trained[:2] == ["b", "a"]
    assert sorted(trained[2:]) == ["c", "d"]
    assert sorted(steps) == ["a", "b", "c", "d"]  # what the time left is estimated by
    assert len(started) == 2  # none ended before the last run
    for thread in started:
        thread.join(60)
