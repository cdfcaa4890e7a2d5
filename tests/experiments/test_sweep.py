"""A sweep is its runs, whatever stops it: real processes, real signals, real files."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from mentee import resume, sweep, train
from mentee.api import Interrupted
from mentee.build.overrides import PythonOverrides
from mentee.cli.stopping import stop_at_once
from mentee.errors import MenteeError, RecipeError, RunError
from mentee.experiments.executors.local import LocalExecutor
from mentee.experiments.progress import SweepObserver
from mentee.experiments.sweep import train as train_jobs
from mentee.records import open_record
from mentee.runs import checkpoint
from tests.conftest import digits, taught_by
from tests.processes import Forked, ended, start

Begin = Callable[..., Forked]
SHORT = {"epochs": 1, "batch": 32}
OWN = {"name": "cktf+kd", "params": {"info_nce.temperature": 0.2}}


@pytest.fixture
def recipe(taught: Any) -> dict[str, Any]:
    return taught(method=OWN, train=SHORT, data={"limit": 96})


def names(path: Path) -> set[str]:
    return {each.parent.name for each in path.glob("*/summary.json")}


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of one thread, as the tests' own: sums come out bit for bit."""
    monkeypatch.setattr("mentee.experiments.executors.local.cores", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_a_sweep_is_its_runs_with_one_record(recipe: dict[str, Any], tmp_path: Path) -> None:
    lines: list[str] = []
    recipe["train"]["epochs"] = 2
    found = sweep(
        recipe,
        ["none", "kd", "cktf+kd"],
        seeds=2,
        processes=2,
        out=tmp_path / "s",
        say=lines.append,
    )
    expected = {f"resnet8-cifar-{m}-seed{s}" for m in ("none", "kd", "cktf+kd") for s in (0, 1)}
    assert names(tmp_path / "s") == set(found.runs) == expected
    assert not found.failed
    assert sum("images × 3 views" in line for line in lines) == 1
    assert "2 processes of 1 thread each" in lines
    assert set(open_record(tmp_path / "s" / "record").manifest.methods) == {"kd", "cktf+kd"}
    summaries = {name: run.summary for name, run in found.runs.items()}
    assert summaries["resnet8-cifar-kd-seed1"]["reading"] == "views=2"
    assert summaries["resnet8-cifar-none-seed0"]["reading"] is None
    # All seeds see the record's views, `none` too: pairs differ in the method alone.
    for name in expected:
        said = yaml.safe_load((tmp_path / "s" / name / "recipe.yaml").read_text())
        assert (said["data"]["view_seed"], said["data"]["cycle"]) == (0, 2)
        assert said["train"]["seed"] == int(name[-1])
    # The recipe's own method keeps its numbers.
    assert said["method"]["params"] in ({}, OWN["params"])
    own = yaml.safe_load((tmp_path / "s/resnet8-cifar-cktf+kd-seed0/recipe.yaml").read_text())
    assert own["method"]["params"] == OWN["params"]

    # Each is what `train` makes of its recipe, to the last bit.
    alone = train(tmp_path / "s/resnet8-cifar-kd-seed1/recipe.yaml", out=tmp_path / "a", quiet=True)
    ours = load_file(tmp_path / "s/resnet8-cifar-kd-seed1/student.safetensors")
    for name, value in load_file(alone.path / "student.safetensors").items():
        assert value.equal(ours[name]), name
    assert alone.summary["test"] == summaries["resnet8-cifar-kd-seed1"]["test"]

    # One process makes the same as two.
    kwargs: dict[str, Any] = {"seeds": 1, "processes": 1, "out": tmp_path / "one", "say": str}
    one = sweep(recipe, ["kd", "cktf+kd"], **kwargs)
    for name, run in one.runs.items():
        paths = (each.path / "student.safetensors" for each in (run, found.runs[name]))
        weights = [load_file(path) for path in paths]
        assert all(weights[0][key].equal(weights[1][key]) for key in weights[1]), name


def test_finished_runs_are_not_repeated_and_more_can_be_added(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    first = sweep(recipe, ["kd"], seeds=1, processes=1, out=tmp_path / "s", say=str)
    student = first.runs["resnet8-cifar-kd-seed0"].path / "student.safetensors"
    before = student.stat().st_mtime_ns
    plan = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert plan["resnet8-cifar-kd-seed0"]["recipe"]["method"]["name"] == "kd"
    lines: list[str] = []
    more = sweep(recipe, ["kd", "crd"], seeds=2, processes=1, out=tmp_path / "s", say=lines.append)
    assert len(more.runs) == 4
    assert student.stat().st_mtime_ns == before
    assert "4 runs, 1 finished before" in "\n".join(lines[:3])
    lines.clear()
    assert (
        len(sweep(recipe, ["kd"], seeds=2, processes=1, out=tmp_path / "s", say=lines.append).runs)
        == 2
    )
    assert lines == []


def test_something_else_is_not_gone_on_with(recipe: dict[str, Any], tmp_path: Path) -> None:
    sweep(recipe, ["none"], seeds=1, processes=1, out=tmp_path / "s", say=str)
    with pytest.raises(RunError, match=r"train.epochs: 1 there, 3 here"):
        sweep(recipe, ["none"], seeds=1, out=tmp_path / "s", changes=["train.epochs=3"])
    with pytest.raises(RunError, match=r"live: False there, True here"):
        sweep(recipe, ["none"], seeds=1, out=tmp_path / "s", live=True)
    train(digits(), out=tmp_path / "t" / "resnet8-cifar-none-seed0", quiet=True)
    with pytest.raises(RunError, match="exists and is not of this sweep"):
        sweep(recipe, ["none"], seeds=1, out=tmp_path / "t")


def test_what_fails_is_named_and_stops_nothing(
    recipe: dict[str, Any], file: Any, mentee: Any, tmp_path: Path
) -> None:
    """One does not fit the data, one diverges, one is damaged; the others are trained."""
    wild = {"name": "kd", "weights": {"logits": 1e12, "task": 1e12}}
    path, out = file(recipe | {"method": wild}), tmp_path / "s"
    arguments = ["sweep", path, "--methods", "none,kd,east-kd", "--seeds", "1"]
    arguments += ["--processes", "1", "--out", out]
    status, said, err = mentee(*arguments)
    assert status == 1, err
    assert names(out) == {"resnet8-cifar-none-seed0"}
    assert "resnet8-cifar-kd-seed0  failed: the loss is" in said
    assert "failed: resnet8-cifar-east-kd-seed0: method 'east-kd' compares each class" in said
    assert "the loss is" in (out / "resnet8-cifar-kd-seed0" / "failure.txt").read_text()
    status, said, _ = mentee(*arguments)
    assert status == 1
    assert "3 runs, 1 finished before" in said


def test_nothing_begins_where_nothing_fits(recipe: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MenteeError, match="there is no method 'crdd'"):
        sweep(recipe, ["kd", "crdd"], out=tmp_path / "s")
    with pytest.raises(MenteeError, match="compares each class on its own"):
        sweep(recipe, ["east-kd"], processes=1, out=tmp_path / "s", say=str)
    with pytest.raises(RecipeError, match="has no runs"):
        sweep(recipe, [], out=tmp_path / "s")
    with pytest.raises(RecipeError, match="two runs would have the folder"):
        sweep(recipe, ["kd", "kd"], out=tmp_path / "s")
    with pytest.raises(RecipeError, match="nothing is recorded"):
        sweep(recipe, ["kd"], out=tmp_path / "s", live=True, views=2)
    assert not list((tmp_path).glob("s/*/recipe.yaml"))


def test_what_cannot_be_recorded_is_live_on_the_records_views(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    exact = {"name": "cktf-exact", "params": {"memory.negatives": 16}}
    lines: list[str] = []
    found = sweep(
        recipe | {"method": exact},
        ["cktf-exact", "kd"],
        seeds=1,
        views=1,
        processes=1,
        out=tmp_path / "s",
        say=lines.append,
    )
    assert "read live, since no record can hold what they read: cktf-exact" in lines
    read = {name: run.summary["reading"] for name, run in found.runs.items()}
    assert read == {"resnet8-cifar-cktf-exact-seed0": "live", "resnet8-cifar-kd-seed0": "views=1"}
    said = yaml.safe_load((tmp_path / "s/resnet8-cifar-cktf-exact-seed0/recipe.yaml").read_text())
    assert (said["data"]["cycle"], said["data"]["view_seed"]) == (1, 0)


def test_live_and_a_record_that_is_there(recipe: dict[str, Any], tmp_path: Path) -> None:
    kwargs: dict[str, Any] = {"seeds": 1, "processes": 1, "say": str}
    live = sweep(recipe, ["kd"], live=True, out=tmp_path / "live", **kwargs)
    assert not (tmp_path / "live" / "record").exists()
    assert live.runs["resnet8-cifar-kd-seed0"].summary["reading"] == "live"
    sweep(recipe, ["kd"], views=1, record=tmp_path / "r", out=tmp_path / "a", **kwargs)
    record = {"teacher": {"record": str(tmp_path / "r")}}
    used = sweep(recipe | record, ["kd", "none"], out=tmp_path / "b", **kwargs)
    assert used.runs["resnet8-cifar-kd-seed0"].summary["reading"] == "views=1"
    lacking = sweep(recipe | record, ["crd", "kd"], out=tmp_path / "c", **kwargs)
    assert list(lacking.runs) == ["resnet8-cifar-kd-seed0"]
    assert "Add it: mentee record" in lacking.failed["resnet8-cifar-crd-seed0"]


def test_several_students_share_the_record(recipe: dict[str, Any], tmp_path: Path) -> None:
    found = sweep(
        recipe, ["kd", "none"], students=["resnet8-cifar", "resnet20-cifar"], seeds=1, processes=1,
        out=tmp_path / "s", say=str,
    )  # fmt: skip
    assert {job.student for job in found.jobs} == {"resnet8-cifar", "resnet20-cifar"}
    assert len(found.runs) == 4
    sizes = {name: run.summary["parameters"]["student"] for name, run in found.runs.items()}
    assert sizes["resnet20-cifar-kd-seed0"] > 2 * sizes["resnet8-cifar-kd-seed0"]
    # The recipe's own student keeps its options.
    assert sizes["resnet8-cifar-kd-seed0"] < 30_000


ROW_FROM_PYTHON = """
from mentee import sweep
from mentee.methods import Component, Method, Term
row = Method("mine", (Term("logits", Component("kl", {{"temperature": 2.0}}), 1.0),))
found = sweep(
    {recipe!r}, ["mine"], methods={{"mine": row}}, seeds=2, processes=2, out={out!r}, say=str
)
print(len(found.runs), found.failed)
"""


def test_rows_and_networks_from_python(recipe: dict[str, Any], tmp_path: Path) -> None:
    code = ROW_FROM_PYTHON.format(recipe=recipe, out=str(tmp_path / "a"))
    assert ended(start("-c", code)).splitlines()[-1] == "2 {}"
    student = lambda classes, channels: None  # noqa: E731 - a lambda cannot be pickled
    with pytest.raises(MenteeError):
        sweep(recipe, ["kd"], student=student, seeds=2, processes=2, out=tmp_path / "b", say=str)


# --- stopped at any moment ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(teacher: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe of 32 steps, a checkpoint every 3."""
    path = tmp_path_factory.mktemp("long") / "recipe.yaml"
    train = {"epochs": 8, "batch": 32}
    save = {"steps": 3, "minutes": None}
    said = taught_by(teacher, method=OWN, train=train, data={"limit": 128}, save=save)
    path.write_text(yaml.safe_dump(said))
    return str(path)


def arguments(path: str, out: Path, processes: int = 2) -> tuple[str, ...]:
    said = ("sweep", path, "--methods", "kd,cktf+kd", "--seeds", "2", "--views", "2")
    return ("-m", "mentee.cli", *said, "--processes", str(processes), "--out", str(out))


@pytest.fixture(scope="module")
def whole(long: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep, that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "s"
    ended(start(*arguments(long, out)))
    return out


def wait_for(what: Callable[[], object], process: Forked) -> None:
    for _ in range(24_000):
        if what():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("it never came")


def workers_of(process: Forked) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "spawned\n"]


def is_there(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def assert_same(out: Path, whole: Path) -> None:
    assert names(out) == names(whole)
    for name in names(whole):
        mine, other = (load_file(folder / name / "student.safetensors") for folder in (out, whole))
        assert all(mine[key].equal(other[key]) for key in other), name
        lines = [(folder / name / "metrics.jsonl").read_bytes() for folder in (out, whole)]
        assert lines[0] == lines[1], name


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


@needs_proc
def test_kill_9_of_all_or_of_the_parent_and_the_same_command_goes_on(
    begin: Begin, long: str, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    # 1. Everything dies at once, in the midst of two runs.
    process = begin(*arguments(long, out))
    wait_for(
        lambda: checkpoint.list_checkpoints(out / "resnet8-cifar-kd-seed0" / "checkpoints"), process
    )
    workers = workers_of(process)
    assert len(workers) == 2
    for pid in (process.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert len(names(out)) < 4
    # 2. The parent alone dies; its workers save and end.
    process = begin(*arguments(long, out))
    wait_for(lambda: len(workers_of(process)) == 2 and names(out), process)
    workers = workers_of(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # 3. The same command again, without waiting for them.
    again = begin(*arguments(long, out))
    said, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "finished before" in said
    assert not any(map(is_there, workers))
    assert_same(out, whole)


@needs_proc
@pytest.mark.parametrize(
    ("number", "processes"),
    [
        (signal.SIGINT, 2),
        pytest.param(signal.SIGTERM, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 1, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_all_in_order(
    number: signal.Signals, processes: int, begin: Begin, long: str, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    process = begin(*arguments(long, out, processes))
    wait_for(
        lambda: checkpoint.list_checkpoints(out / "resnet8-cifar-kd-seed0" / "checkpoints"), process
    )
    workers = workers_of(process)
    os.killpg(process.pid, number)  # as a terminal does: to the whole group
    said, err = process.communicate(timeout=300)
    assert process.returncode == 128 + number, (said, err)
    assert "everything is saved; the same command" in err
    assert "Traceback" not in err
    assert not any(map(is_there, workers))
    # One that had not come to its first step leaves no folder; no other run was begun.
    assert 1 <= len(list(out.glob("*-seed0"))) <= processes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_all_at_once_with_its_own_status(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(*_: object) -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)

    monkeypatch.setattr("mentee.experiments.sweep.run_jobs", twice)
    executor = LocalExecutor(1, PythonOverrides())
    progress: Any = SimpleNamespace(jobs=["one"], say=print)
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: stop_at_once}
    before = signal.signal(number, handlers[number])
    try:
        with pytest.raises(Interrupted, match="stopped at once; the same command") as stopped:
            train_jobs([], executor, progress, SweepObserver())
    finally:
        signal.signal(number, before)
    assert stopped.value.asked_by_signal == number


@needs_proc
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (signal.SIGKILL, "exit status -9, perhaps for lack of memory; the same command resumes it"),
        pytest.param(
            signal.SIGTERM,
            "exit status 0; the same command resumes it",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_worker_that_is_killed_costs_its_run_alone(
    number: signal.Signals, text: str, begin: Begin, long: str, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    process = begin(*arguments(long, out))
    for method in ("kd", "cktf+kd"):
        folder = out / f"resnet8-cifar-{method}-seed0" / "checkpoints"
        wait_for(lambda folder=folder: checkpoint.list_checkpoints(folder), process)
    os.kill(workers_of(process)[0], number)
    said, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert f"its process ended with {text}" in said
    assert len(names(out)) == 3
    left = ({each.name for each in out.glob("*-seed*")} - names(out)).pop()
    resume(out / left, quiet=True)  # an ordinary run folder
    assert names(out) == names(whole)


def test_two_sweeps_do_not_share_a_folder(begin: Begin, long: str, tmp_path: Path) -> None:
    process = begin(*arguments(long, tmp_path / "s"))
    wait_for(lambda: (tmp_path / "s" / "sweep.json").is_file(), process)
    with pytest.raises(RunError, match="s is in use: process"):
        sweep(long, ["kd", "cktf+kd"], seeds=2, views=2, out=tmp_path / "s")
    process.kill()
    process.communicate()


def test_a_script_without_a_guard_is_told_so(begin: Begin, long: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    call = f"sweep({long!r}, ['kd'], seeds=2, processes=2, out={str(tmp_path / 's')!r})"
    script.write_text(f"from mentee import sweep\n{call}\n")
    process = begin(script)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "below `if __name__ == '__main__':`" in err
