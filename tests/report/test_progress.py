from __future__ import annotations

import io
import sys
from typing import Any

import pytest
import rich

from mentee.report import Reporter, RowProgress, duration
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


@pytest.mark.parametrize(
    ("seconds", "epochs", "steps"),
    [
        pytest.param(1.0, 1000, [10, 40, 70], id="one long epoch"),
        pytest.param(30.0, 1000, [1, 2, 3], id="slow steps"),
        pytest.param(1.0, 20, [10], id="short epochs have their own lines"),
    ],
)
def test_within_a_long_epoch_a_line_now_and_then(
    seconds: float, epochs: int, steps: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    reporter = Reporter(1000, clock=lambda: now[0])
    with reporter:
        for number in range(1, 71 if seconds == 1 else 4):
            now[0] += seconds
            reporter.step(Step(number, 0, number, 0.5, {"task": 0.5}), seconds)
            if number % epochs == 0:
                reporter.epoch(1, 2, {"task": 0.5}, "", number)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert [int(line.split()[1].split("/")[0]) for line in lines] == steps
    assert lines[0].startswith(f"step {steps[0]}/1000  task 0.500  ")
    assert lines[0].endswith("left")


def test_recording_tells_how_many_rows_are_done() -> None:
    now, lines = [0.0], list[str]()
    progress = RowProgress(lines.append, clock=lambda: now[0])
    for done in range(500, 1001, 10):  # 490 rows were there before
        now[0] += 1.0
        progress(done, 2000)
    assert lines == [
        "590 of 2,000 rows, about 2 min 21 s left",
        "890 of 2,000 rows, about 1 min 51 s left",
    ]
