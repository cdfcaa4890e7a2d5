"""The processes of a sweep."""

import warnings

import pytest

from mentee.build.overrides import PythonOverrides
from mentee.console import plain_warnings
from mentee.experiments.workers import Worker


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
