"""What cannot be printed stops no work; what stops a command at once is one line."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mentee as package
from mentee import api, cli, compare, console, probe, sweep, train
from mentee.cli.stopping import stopped_text
from mentee.experiments import compare as compare_module
from mentee.training.signals import SignalGuard
from tests.conftest import digits

SHORT = digits(train={"epochs": 1}, probe={"ways": ["knn"], "seeds": 1, "shares": [0.1]})


class Broken(io.TextIOBase):
    """A standard output that nobody reads, or that is full."""

    encoding = "utf-8"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


OUTPUTS = {
    "a reader that has ended": Broken(BrokenPipeError(32, "Broken pipe")),
    "a full disk": Broken(OSError(28, "No space left on device")),
    "a terminal that is gone": Broken(OSError(5, "Input/output error")),
    "closed": Broken(ValueError("I/O operation on closed file")),
    "none": None,
}


def run_train(out: Path) -> object:
    return train(SHORT, out=out)


def run_sweep(out: Path) -> object:
    return sweep(SHORT, ["none"], seeds=1, out=out)


def run_compare(out: Path) -> object:
    return compare(SHORT, ["none"], seeds=1, out=out)


def run_probe(out: Path) -> object:
    return probe(train(SHORT, out=out).path)


@pytest.mark.parametrize("output", OUTPUTS)
def test_training_does_not_depend_on_who_reads(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", OUTPUTS[output])
    run = train(SHORT, out=tmp_path / "run")
    assert run.summary["test"]["accuracy"] > 0
    assert (run.path / "student.safetensors").is_file()


@pytest.mark.parametrize("work", [run_sweep, run_compare, run_probe])
def test_nor_do_the_other_commands_of_python(
    work: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", OUTPUTS["a reader that has ended"])
    work(tmp_path / "out")
    assert list((tmp_path / "out").rglob("student.safetensors"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_that_standard_output_does_not_have(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    console.print_line("0.5 ± 0.1 \udcff")
    text = raw.getvalue().decode(encoding)
    assert text.endswith("\\udcff\n")
    assert ("±" in text) is (encoding != "ascii")


@pytest.mark.parametrize("words", [["methods", "kd"], ["train"]], ids=["methods", "train"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_exit_status_says_whether_somebody_misses_the_lines(
    output: str,
    words: list[str],
    file: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if words == ["train"]:
        words = [*words, file(SHORT), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # pytest's own
    monkeypatch.setattr(sys, "argv", ["mentee", *words])
    monkeypatch.setattr(sys, "stdout", OUTPUTS[output])
    status: object = 0
    try:
        cli.main()
    except SystemExit as end:
        status = end.code or 0
    if output == "none" and sys.stdout is not None:
        sys.stdout.close()
    why = {
        "a full disk": "No space left on device",
        "a terminal that is gone": "Input/output error",
    }.get(output)
    expected = f"error: standard output was lost ({why}); files are complete\n" if why else ""
    assert (status, capsys.readouterr().err) == (int(why is not None), expected)
    assert words == ["methods", "kd"] or (tmp_path / "run" / "summary.json").is_file()


def test_names_that_are_no_utf_8(tmp_path: Path, mentee: Any, file: Any) -> None:
    out = tmp_path / os.fsdecode(b"run-\xff")
    status, text, err = mentee("train", file(SHORT), "--out", out)
    assert (status, err) == (0, "")
    assert "run-\\udcff" in text
    status, text, _ = mentee("evaluate", out)
    assert status == 0
    assert mentee("report", out)[0] == mentee("probe", out)[0] == mentee("resume", out)[0] == 0
    assert "run-\\udcff" in mentee("train", file(SHORT), "--out", out)[2]


def interrupt(number: int) -> Callable[..., None]:
    def stop(*_: object, **__: object) -> None:
        signal.raise_signal(number)

    return stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("words", "module", "text"),
    [
        ("train r.yaml", api, "stopped before the first step; nothing was saved\n"),
        ("compare r.yaml --methods kd", compare_module, "stopped; the same command resumes what"),
    ],
)
def test_a_signal_while_a_command_starts(
    number: int,
    words: str,
    module: Any,
    text: str,
    mentee: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SignalGuard, "opened", False)
    monkeypatch.setattr(module, words.partition(" ")[0], interrupt(number))
    status, _, err = mentee(*words.split())
    assert status == 128 + number
    assert err.startswith(text)
    assert err.count("\n") == 1


def test_a_second_signal_stops_at_once(tmp_path: Path, mentee: Any, file: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    recipe, out = file(digits(save={"steps": 2})), tmp_path / "run"

    def stop(*_: object, **__: object) -> None:
        train(
            recipe,
            out=out,
            quiet=True,
            on_step=lambda step: (
                [signal.raise_signal(signal.SIGTERM) for _ in range(2)]
                if step.number == 3
                else None
            ),
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "train", stop)
        status, _, err = mentee("train", recipe)
    assert signal.getsignal(signal.SIGTERM) == before
    assert (status, err) == (
        143,
        "stopped at once; mentee resume continues from the newest checkpoint\n",
    )
    assert mentee("resume", out)[0] == 0


def test_the_public_names_are_listed_for_completion() -> None:
    assert set(package.__all__) <= set(dir(package))
    assert {"train", "compare", "probe", "METHODS", "__version__"} <= set(dir(package))


def test_results_are_short_where_they_are_shown(tmp_path: Path) -> None:
    """A notebook shows the last value of a cell: no result is a page of numbers there."""
    run = train(SHORT, out=tmp_path / "run", quiet=True)
    comparison = compare(SHORT, ["none"], seeds=1, out=tmp_path / "c", say=lambda line: None)
    results = (run, comparison, probe(run.path, say=lambda line: None))
    for result in (*results, sweep(SHORT, ["none"], seeds=1, out=tmp_path / "c", say=str)):
        assert len(repr(result)) < len(str(tmp_path)) + 80, repr(result)
        assert "\n" not in repr(result)
    assert repr(run).startswith(f"Run({str(run.path)!r}, test accuracy 0.")
    assert stopped_text("record").startswith("stopped; the same command resumes")
