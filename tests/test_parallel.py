"""Two processes do what one does with all of their examples: losses, gradients, memories."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mentee import checkpoint, record_network, train
from mentee.parallel import agree_on, gather, gather_objects, leave, rank, world
from tests.run import together

# `accelerate launch --cpu` starts one process only, unless there is MPI; torchrun starts two.
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
CLOSE = 1e-5
COMMAND: dict[str, Any] = {
    "data": {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 320},
    "student": {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}},
    "train": {"epochs": 4, "batch": 32},
    "save": {"steps": 7, "minutes": None},
}


def launch(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Two processes, in a process group of their own."""
    here = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, here))
    return subprocess.Popen(
        [sys.executable, *LAUNCH, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What a launch printed, once it has ended well; else all of it is ended, and said."""
    try:
        out, err = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of `together`, and of COMMAND's recipe without any stop."""
    out = tmp_path_factory.mktemp("two")
    (out / "recipe.yaml").write_text(yaml.safe_dump(COMMAND))
    ended(launch(together.__file__, out, cwd=out))
    return out


@pytest.mark.parametrize("name", together.METHODS)
def test_two_processes_are_one_with_the_doubled_batch(name: str, two: Path, tmp_path: Path) -> None:
    method = together.METHODS[name]
    theirs = torch.load(two / "found.pt", weights_only=True)[name]
    ours = together.trained(tmp_path / "run", method)
    assert theirs["examples"] == ours["examples"] == [32] * 5
    for mine, other in zip(ours["losses"], theirs["losses"], strict=True):
        assert mine.keys() == other.keys()
        # task, kl, the contrast at stem, three stages and embedding; of ec and ft its own loss too
        usual = 7 if method["name"] == "cktf+kd" else 2
        assert len(mine) == {"ec": 3, "ft": 3, "ab": 4, "ofd": 4}.get(name, usual)
        for term in mine:
            assert other[term] == pytest.approx(mine[term], abs=CLOSE, rel=CLOSE), term
    assert theirs["loss"] == pytest.approx(ours["loss"], abs=CLOSE, rel=CLOSE)
    for mine, other in zip(together.gradients(ours), together.gradients(theirs), strict=True):
        assert_close(mine, other)
        assert sum(float(g.abs().sum()) for g in mine.values()) > 1  # there is something to compare
    for part in ("heads", "memory"):
        assert_close(ours[part], theirs[part])
    assert_close(ours["weights"][-1], theirs["weights"][-1])


def assert_close(mine: dict[str, Any], other: dict[str, Any]) -> None:
    assert mine.keys() == other.keys()
    for name in mine:
        torch.testing.assert_close(
            other[name], mine[name], atol=CLOSE, rtol=CLOSE, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_the_command_in_two_processes_is_one_run_that_resumes_after_kill_9(
    two: Path, tmp_path: Path
) -> None:
    process = launch("-m", "mentee.cli", "train", two / "recipe.yaml", cwd=tmp_path)
    run = tmp_path / "runs" / "resnet8-cifar-none-1"
    try:
        while not checkpoint.found(run / "checkpoints"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the launcher; torchrun's workers follow below
        end_workers(str(two / "recipe.yaml"))
    process.communicate()
    assert not (run / "summary.json").exists()
    said = ended(launch("-m", "mentee.cli", "resume", run, cwd=tmp_path))
    assert said.count("epoch   4/4") == 1, "only the first process prints"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.name]
    for name in ("student.safetensors", "metrics.jsonl"):
        assert (run / name).read_bytes() == (two / "whole" / name).read_bytes(), name


def test_two_processes_record_what_one_does(tmp_path: Path) -> None:
    student = {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}}
    data = {**COMMAND["data"], "limit": 64, "validation": None, "test": None}
    run = train({**COMMAND, "data": data, "train": {"epochs": 1}}, out=tmp_path / "t", quiet=True)
    teacher = {**student, "weights": str(run.path / "student.safetensors")}
    recipe = {**COMMAND, "data": data, "teacher": teacher, "method": "cktf+kd"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    arguments = ("-m", "mentee.cli", "record", tmp_path / "recipe.yaml", "--views", "3", "--out")
    said = ended(launch(*arguments, tmp_path / "two", cwd=tmp_path))
    assert said.count("recorded in") == 1, "only the first process prints"
    record_network(recipe, tmp_path / "one", views=3, say=str)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 1 + 4 * 3
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def end_workers(argument: str) -> None:
    """torchrun starts each worker in a session of its own: end those with our own argument."""
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = status.read_bytes().split(b"\0")
        except OSError:
            continue
        if argument.encode() in command:
            os.kill(int(status.parent.name), signal.SIGKILL)


def test_one_process_talks_to_itself() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert (world(), rank(), agree_on(3)) == (1, 0, 3)
    assert torch.equal(gather(x), x)
    assert not gather(x).requires_grad
    assert gather_objects("a") == ["a"]
    assert gather_objects(None) == []
    leave()
    assert (world(), rank()) == (1, 0)
