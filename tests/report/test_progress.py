from __future__ import annotations

import io
import sys
from typing import Any

import pytest
import rich

from mentee.report import Reporter, duration
from mentee.report.progress import loss_text
from mentee.types import Step


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def go(reporter: Reporter) -> None:
    with reporter:
        for number in range(1, 5):
            losses = {"contrast/stem": 1.0, "contrast/embedding": 2.0, "task": 0.5}
            reporter.step(Step(number, 0, number, 3.5, losses), 2.0)
        reporter.epoch(1, 2, losses, "validation accuracy 0.5000", 4)
        reporter.say("[done] 1/2")


def test_elsewhere_than_on_a_terminal_the_lines_are_plain(capsys: Any) -> None:
    go(Reporter(8))
    said = capsys.readouterr()
    assert said.out == (
        "epoch   1/2  contrast 3.000  task 0.500  validation accuracy 0.5000  8 s left\n"
        "[done] 1/2\n"
    )
    assert said.err == ""


@pytest.mark.parametrize("out", [io.StringIO, Terminal])
def test_quiet_prints_nothing(out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    go(Reporter(8, quiet=True))
    assert (sys.stdout.getvalue(), sys.stderr.getvalue()) == ("", "")


def test_on_a_terminal_a_bar_shows_losses_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(rich, "_console", None)  # rich keeps what it found out about the first
    go(Reporter(8))
    shown = sys.stdout.getvalue()
    assert "step 4/8  contrast 3.000  task 0.500  8 s left" in shown
    assert "[done] 1/2" in shown, "what is said is not taken for markup"


def test_time_left_counts_only_the_steps_of_this_start() -> None:
    reporter = Reporter(100, 90, quiet=True)
    assert reporter.left(90) == ""
    reporter.step(Step(91, 0, 91, 0.0), 3.0)
    assert reporter.left(91) == "27 s left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.0, "59 min 59 s"),
        (3661.0, "1 h 01 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_no_losses_say_nothing() -> None:
    assert loss_text({}) == ""
