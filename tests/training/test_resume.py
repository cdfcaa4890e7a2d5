"""Whatever stops a run, going on gives what would have come without the stop, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mentee import files, resume, train
from mentee.api import Interrupted
from mentee.errors import RunError
from mentee.methods import METHODS
from mentee.runs import checkpoint
from mentee.types import Step
from tests.conftest import digits
from tests.processes import Forked

Begin = Callable[..., Forked]
Mentee = Callable[..., tuple[int, str, str]]
KILLED = """
import os, sys
from mentee import train

def kill(step):
    if step.number == int(sys.argv[3]):
        os.kill(os.getpid(), int(sys.argv[4]))

train(sys.argv[1], out=sys.argv[2], on_step=kill)
"""
EVERY_7 = {"steps": 7, "minutes": None}


def assert_same(run: Path, whole: Path) -> None:
    """Student and metrics are equal to the last bit."""
    for name in ("student.safetensors", "metrics.jsonl"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    scores = [json.loads((path / "summary.json").read_text()) for path in (run, whole)]
    for score in scores:
        del score["seconds"], score["seconds_per_epoch"], score["memory"]  # of the machine
    assert scores[0] == scores[1]


def wait_for_checkpoint(process: Forked, run: Path, step: int) -> None:
    """Until the run has written one at `step` or later."""
    for _ in range(20_000):
        written = checkpoint.list_checkpoints(run / "checkpoints")
        if written and number_of(written[-1]) >= step:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("no checkpoint")


def number_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def test_kill_9_of_the_command_in_mid_epoch(
    begin: Begin, whole: tuple[str, Path], tmp_path: Path
) -> None:
    run, (recipe, uninterrupted) = tmp_path / "run", whole
    killed = begin("-m", "mentee.cli", "train", recipe, "--out", run)
    wait_for_checkpoint(killed, run, 14)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    newest = number_of(checkpoint.list_checkpoints(run / "checkpoints")[-1])
    assert newest % 10 != 0, "the last checkpoint is to lie in mid-epoch"
    assert not (run / "summary.json").exists()
    resumed = begin("-m", "mentee.cli", "resume", run)
    out, err = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, err
    assert f"{run}/student.safetensors  {run}/report.html" in out
    assert_same(run, uninterrupted)


def test_kill_9_with_average_accumulation_and_queue(
    begin: Begin, taught: Any, file: Any, tmp_path: Path
) -> None:
    numbers = {"memory.kind": "queue", "memory.negatives": 100}
    recipe = file(
        taught(
            method={"name": "cktf-bank+kd", "params": numbers},
            train={"epochs": 2, "gradient_accumulation": 2, "ema": 0.9, "max_grad_norm": 1.0},
            save={"steps": 4, "minutes": None},
        )
    )
    killed = begin("-c", KILLED, recipe, tmp_path / "run", "17", str(int(signal.SIGKILL)))
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    assert killed.wait(300) == -signal.SIGKILL, killed.communicate()
    newest = checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert number_of(newest) == 16
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_says_how_to_go_on_and_loses_nothing(
    number: signal.Signals, begin: Begin, whole: tuple[str, Path], tmp_path: Path
) -> None:
    run, (recipe, uninterrupted) = tmp_path / "run", whole
    process = begin("-m", "mentee.cli", "train", recipe, "--out", run)
    wait_for_checkpoint(process, run, 7)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + number, (out, err)
    assert f"everything is saved; resume it: mentee resume {run}" in err
    assert "Traceback" not in err
    newest = number_of(checkpoint.list_checkpoints(run / "checkpoints")[-1])
    assert f"stopped after step {newest} of 50" in err
    resume(run, quiet=True)
    assert_same(run, uninterrupted)


def interrupt_at(number: int) -> Callable[[Step], None]:
    def ask(step: Step) -> None:
        if step.number == number:
            signal.raise_signal(signal.SIGTERM)

    return ask


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped after step 3 of 20, everything is saved"):
        train(digits(), out=tmp_path / "run", quiet=True, on_step=interrupt_at(3))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("step", [9, 10, 11, 20])
def test_a_stop_at_any_point_of_an_epoch(step: int, tmp_path: Path) -> None:
    recipe = digits(train={"schedule": "cosine", "optimizer": "adamw", "lr": 0.01, "warmup": 3})
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    with pytest.raises(Interrupted):
        train(recipe, out=tmp_path / "run", quiet=True, on_step=interrupt_at(step))
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)


def test_stopping_early_survives_a_stop_in_the_same_step(tmp_path: Path) -> None:
    recipe = digits(train={"epochs": 6, "lr": 1e-9}, select={"patience": 1, "keep": "last"})
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    steps = whole.summary["steps"]
    assert whole.summary["epochs"] < 6
    with pytest.raises(Interrupted):
        train(recipe, out=tmp_path / "run", quiet=True, on_step=interrupt_at(steps))
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)


def test_a_finished_run_is_returned_at_once(tmp_path: Path, mentee: Mentee) -> None:
    whole = train(digits(), out=tmp_path / "run", quiet=True)
    written = (tmp_path / "run" / "student.safetensors").stat().st_mtime_ns
    again = resume(tmp_path / "run", on_step=lambda step: pytest.fail("it trains"))
    assert again.summary == whole.summary
    assert (tmp_path / "run" / "student.safetensors").stat().st_mtime_ns == written
    status, out, _ = mentee("resume", tmp_path / "run")
    assert status == 0
    assert f"accuracy {whole.summary['test']['accuracy']:.4f}" in out


def test_what_is_no_run_cannot_be_resumed(tmp_path: Path, mentee: Mentee) -> None:
    status, _, err = mentee("resume", tmp_path)
    assert (status, err) == (2, f"error: {tmp_path} is no run: it has no recipe.yaml\n")


@pytest.mark.parametrize(
    ("parts", "step"),
    [
        pytest.param({}, 3, id="in its first epoch"),
        pytest.param({"monitor": {"limit": 50}, "train": {"ema": 0.9}}, 13, id="after a best one"),
        pytest.param({"teacher": {}, "method": "kd"}, 3, id="taught by a run's student"),
    ],
)
def test_a_run_that_ended_before_its_first_checkpoint_begins_again(
    parts: dict[str, Any], step: int, teacher: Any, tmp_path: Path, mentee: Mentee
) -> None:
    if "teacher" in parts:  # a line tells where its normalization is from, only at the first start
        parts = {**parts, "teacher": teacher}
    recipe, run = digits(save={"minutes": None}, **parts), tmp_path / "run"
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    stop_without_saving(recipe, run, step)
    status, out, _ = mentee("resume", run)
    assert status == 0
    assert "there is no checkpoint yet: the run starts from its beginning\n" in out
    assert_same(run, whole.path)


def test_what_was_half_written_by_a_kill_is_removed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_without_saving(digits(save=EVERY_7), run, 12)
    for name in (".summary.json.x.tmp", "checkpoints/.best.safetensors.y.tmp"):
        (run / name).write_bytes(b"half")
    resume(run, quiet=True)
    assert not list(run.rglob(".*"))


def stop_without_saving(recipe: Any, out: Path, number: int, **more: Any) -> None:
    """What a crash leaves, in this process: the files as they stand after step `number`."""

    class CrashedError(Exception):
        pass

    def crash(step: Step) -> None:
        if step.number == number:
            raise CrashedError

    with pytest.raises(CrashedError):
        train(recipe, out=out, quiet=True, on_step=crash, **more)


def test_a_truncated_checkpoint_is_named_and_its_advice_works(
    tmp_path: Path, mentee: Mentee
) -> None:
    recipe, run = digits(save=EVERY_7), tmp_path / "run"
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    stop_without_saving(recipe, run, 16)
    older, newest = checkpoint.list_checkpoints(run / "checkpoints")
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    status, _, err = mentee("resume", run)
    assert status == 2
    assert f"{newest} cannot be read: it is truncated or no checkpoint" in err
    assert f"delete it to resume from {older.name}" in err
    newest.unlink()
    resume(run, quiet=True)
    assert_same(run, whole.path)
    only = run / "only"
    only.mkdir()
    (only / "step-00000001.pt").write_bytes(b"")
    with pytest.raises(RunError, match=r"\(0 bytes\); there is no older one; start the run again"):
        checkpoint.load(only)


def test_a_metrics_line_cut_by_the_crash_is_left_out(tmp_path: Path) -> None:
    recipe, run = digits(save=EVERY_7), tmp_path / "run"
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    stop_without_saving(recipe, run, 16)
    with (run / "metrics.jsonl").open("a") as out:
        out.write('{"step": 17, "ep')
    resume(run, quiet=True)
    assert_same(run, whole.path)


def test_changed_data_are_refused(tmp_path: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(0, 256, (80, 8, 8), dtype=np.uint8),
        "label": np.arange(80) % 4,
    }
    recipe = digits(
        data={"test": None, "limit": None, "validation": None},
        train={"batch": 8, "epochs": 2},
        save=EVERY_7,
    )
    stop_without_saving(recipe, tmp_path / "run", 9, data=arrays)
    with pytest.raises(RunError, match=r"data: given:dict, which was passed from Python; pass it"):
        resume(tmp_path / "run")
    changed = {**arrays, "image": arrays["image"].copy()}
    changed["image"][0, 0, 0] ^= 1
    with pytest.raises(
        RunError, match=r"the train examples are no longer those that .* bring them back, or start"
    ):
        resume(tmp_path / "run", data=changed, quiet=True)
    assert resume(tmp_path / "run", data=arrays, quiet=True).summary["steps"] == 20


def test_another_teacher_is_refused(taught: Any, teacher: Any, tmp_path: Path) -> None:
    weights = tmp_path / "teacher.safetensors"
    weights.write_bytes(Path(teacher["weights"]).read_bytes())
    recipe = taught(teacher={**teacher, "weights": str(weights)}, method="kd", save=EVERY_7)
    stop_without_saving(recipe, tmp_path / "run", 8)
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(
        RunError,
        match=r"the teacher's weights, or the layers that .* reads, are no longer those that",
    ):
        resume(tmp_path / "run", quiet=True)


def test_a_method_that_means_something_else_by_now_is_refused(
    taught: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_without_saving(taught(method="kd", save=EVERY_7), tmp_path / "run", 8)
    other = replace(METHODS["kd"], task=0.5)
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, "kd", other)
        with pytest.raises(RunError, match=r"kd is no longer the method that .* had other terms"):
            resume(tmp_path / "run", quiet=True)
    assert resume(tmp_path / "run", quiet=True).summary["steps"] == 20


def test_a_run_of_a_version_that_did_not_note_its_terms_is_resumed(
    taught: Any, tmp_path: Path
) -> None:
    stop_without_saving(taught(method="kd", save=EVERY_7), tmp_path / "run", 8)
    file = tmp_path / "run" / "environment.json"
    facts = json.loads(file.read_text())
    assert facts.pop("method")["terms"]
    file.write_text(json.dumps(facts))
    assert resume(tmp_path / "run", quiet=True).summary["steps"] == 20


def test_only_two_checkpoints_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    train(digits(save={"steps": 3}), out=tmp_path / "run", quiet=True)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["best.safetensors", "step-00000018.pt", "step-00000020.pt"]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a", "old")

    def fail(beside: Path) -> None:
        beside.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "a", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"
