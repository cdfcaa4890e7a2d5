"""Two processes do what one does with all of their examples: losses, gradients, memories."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from mentee import record_network, train
from mentee.api import evaluate
from mentee.cli import app
from mentee.parallel import (
    all_reduce_sum,
    broadcast_buffers,
    close_processes,
    exit_process,
    gather,
    gather_objects,
    gather_shards,
    max_over_processes,
    rank,
    world,
)
from mentee.runs import checkpoint
from tests.processes import Two, ended
from tests.training import two_processes

CLOSE = 1e-5
COMMAND: dict[str, Any] = {
    "data": {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 320},
    "student": {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}},
    "train": {"epochs": 4, "batch": 32},
    "save": {"steps": 7, "minutes": None},
}


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
    ended(Two(two_processes.__file__, out, cwd=out))
    return out


@pytest.mark.parametrize("name", two_processes.METHODS)
def test_two_processes_are_one_with_the_doubled_batch(name: str, two: Path, tmp_path: Path) -> None:
    method = two_processes.METHODS[name]
    theirs = torch.load(two / "found.pt", weights_only=True)[name]
    ours = two_processes.trained(tmp_path / "run", method)
    assert theirs["examples"] == ours["examples"] == [32] * 5
    for mine, other in zip(ours["losses"], theirs["losses"], strict=True):
        assert mine.keys() == other.keys()
        # task, kl, contrast at (stem,) three stages, embedding; of ec and ft its own loss too
        usual = {"cktf-bank+kd": 7, "cktf+kd": 6}.get(method["name"], 2)
        assert len(mine) == {"ec": 3, "ft": 3, "ab": 4, "ofd": 4}.get(name, usual)
        for term in mine:
            assert other[term] == pytest.approx(mine[term], abs=CLOSE, rel=CLOSE), term
    assert theirs["loss"] == pytest.approx(ours["loss"], abs=CLOSE, rel=CLOSE)
    for mine, other in zip(
        two_processes.gradients(ours), two_processes.gradients(theirs), strict=True
    ):
        assert_close(mine, other)
        assert sum(float(g.abs().sum()) for g in mine.values()) > 1  # there is something to compare
    for part in ("heads", "memory", "loss_weights"):
        assert_close(ours[part], theirs[part])
    assert_close(ours["weights"][-1], theirs["weights"][-1])


def test_two_processes_hear_the_teachers_that_one_hears(two: Path, tmp_path: Path) -> None:
    theirs = torch.load(two / "found.pt", weights_only=True)["several"]
    teachers = two_processes.several(tmp_path)
    ours = two_processes.trained(tmp_path / "run", "to-teacher", teachers)
    assert theirs["loss"] == pytest.approx(ours["loss"], abs=CLOSE, rel=CLOSE)
    assert_close(ours["weights"][-1], theirs["weights"][-1])
    heard = two_processes.trained(tmp_path / "heard", "to-teacher", {**teachers, "dropout": 0.0})
    assert heard["loss"] != pytest.approx(ours["loss"], abs=1e-3)


def assert_close(mine: dict[str, Any], other: dict[str, Any], close: float = CLOSE) -> None:
    assert mine.keys() == other.keys()
    for name in mine:
        torch.testing.assert_close(
            other[name],
            mine[name],
            atol=close,
            rtol=close,
            equal_nan=True,
            msg=lambda m, n=name: f"{n}: {m}",
        )


def test_the_same_with_a_sharded_bank_as_with_one_that_each_process_holds(two: Path) -> None:
    found = torch.load(two / "found.pt", weights_only=True)
    for whole, sharded in (("shared", "sharded"), ("whole-bank", "sharded-whole")):
        assert found[sharded]["loss"] == pytest.approx(found[whole]["loss"], abs=1e-6, rel=1e-6)
        for part in ("heads", "memory"):
            assert_close(found[whole][part], found[sharded][part], 1e-6)


def test_dropout_goes_on_in_every_process_after_a_stop(two: Path) -> None:
    for name in ("student.safetensors", "metrics.jsonl"):
        stopped, whole = ((two / run / name).read_bytes() for run in ("stopped", "unstopped"))
        assert stopped == whole, name
    state = torch.load(two / "unstopped/checkpoints/step-00000010.pt", weights_only=True)
    assert len(state["random_states"]) == 2
    assert not torch.equal(*(each["torch"] for each in state["random_states"])), (
        "each has its own masks"
    )


def test_scores_are_those_of_the_student_that_is_kept(two: Path) -> None:
    """Batch norm's statistics differ in each process after a step; the first's are kept."""
    summary = json.loads((two / "whole" / "summary.json").read_text())
    assert evaluate(two / "whole") == summary["test"]
    last = json.loads((two / "last" / "summary.json").read_text())
    assert evaluate(two / "last") == last["test"]
    assert last["selected"]["keep"] == "last"


@pytest.mark.parametrize("more", [(), ("--on", "seen=train")], ids=["test", "domains"])
def test_evaluate_in_two_processes_says_what_one_does(more: tuple[str, ...], two: Path) -> None:
    """250 and 250 of 500 would not be the batches of one process: they are 256 and 244."""
    command = ("evaluate", str(two / "whole"), *more)
    said = ended(Two("-m", "mentee.cli", *command, cwd=two))
    assert said == CliRunner().invoke(app, command).stdout
    assert said.count("balanced_accuracy") == 1, "only the first process prints"


def test_the_command_in_two_processes_is_one_run_that_resumes_after_kill_9(
    two: Path, tmp_path: Path
) -> None:
    process = Two("-m", "mentee.cli", "train", two / "recipe.yaml", cwd=tmp_path)
    run = tmp_path / "runs" / "resnet8-cifar-none-1"
    try:
        while not checkpoint.list_checkpoints(run / "checkpoints"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
    finally:
        process.kill()
    process.communicate()
    assert not (run / "summary.json").exists()
    said = ended(Two("-m", "mentee.cli", "resume", run, cwd=tmp_path))
    assert said.count("epoch   4/4") == 1, "only the first process prints"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.name]
    for name in ("student.safetensors", "metrics.jsonl"):
        assert (run / name).read_bytes() == (two / "whole" / name).read_bytes(), name


def test_where_one_of_four_processes_is_killed_the_others_end_and_the_run_resumes_exactly(
    tmp_path: Path,
) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(COMMAND))
    command = ("-m", "mentee.cli", "train", tmp_path / "recipe.yaml", "--out")
    ended(Two(*command, tmp_path / "whole", cwd=tmp_path, count=4))
    four = Two(*command, tmp_path / "run", cwd=tmp_path, count=4)
    try:
        while not checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints"):
            assert four.poll() is None, four.communicate()
            time.sleep(0.005)
        four.each[3].kill()
        texts = [process.communicate(30)[1] for process in four.each[:3]]
    finally:
        four.kill()
    assert [process.returncode for process in four.each] == [1, 1, 1, -9]
    assert "Traceback" not in "".join(texts)
    told = "error: another of the 4 processes has ended: stopped at once; mentee resume continues"
    assert told in "".join(texts)
    ended(Two("-m", "mentee.cli", "resume", tmp_path / "run", cwd=tmp_path, count=4))
    for name in ("student.safetensors", "metrics.jsonl"):
        whole, run = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "run"))
        assert run == whole, name


def test_two_processes_record_what_one_does(tmp_path: Path) -> None:
    student = {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}}
    data = {**COMMAND["data"], "limit": 64, "validation": None, "test": None}
    run = train({**COMMAND, "data": data, "train": {"epochs": 1}}, out=tmp_path / "t", quiet=True)
    teacher = {**student, "weights": str(run.path / "student.safetensors")}
    recipe = {**COMMAND, "data": data, "teacher": teacher, "method": "cktf+kd"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    arguments = ("-m", "mentee.cli", "record", tmp_path / "recipe.yaml", "--views", "3", "--out")
    said = ended(Two(*arguments, tmp_path / "two", cwd=tmp_path))
    assert said.count("recorded in") == 1, "only the first process prints"
    record_network(recipe, tmp_path / "one", views=3, say=str)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 3 + 4
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_two_processes_record_a_teacher_of_another_task_as_one_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", image=rng.integers(0, 256, (50, 8, 8), dtype=np.uint8))
    script = tmp_path / "script.py"
    script.write_text(EMBEDDING)
    for n in (37, 50):  # the second time 13 are new
        ended(Two(script, tmp_path, "two", str(n), cwd=tmp_path))
        namespace: dict[str, Any] = {"__name__": "one"}
        exec(compile(EMBEDDING, "script", "exec"), namespace)
        namespace["main"](tmp_path, "one", n)
        folders = [tmp_path / name / "train" for name in ("one", "two")]
        files = sorted(p.relative_to(folders[0]) for p in folders[0].rglob("*.*"))
        assert Path("statistics.safetensors") in files
        for name in files:
            one, two = ((folder / name).read_bytes() for folder in folders)
            assert one == two, name


EMBEDDING = """
import sys
from pathlib import Path
import numpy as np
import torch
from mentee import record
from mentee.parallel import close_processes, rank
from mentee.teachers.pretrained import embedder

def said(images):
    pixels = torch.stack([torch.as_tensor(image).float() for image in images])[..., 0]
    return torch.cat([pixels.mean(1), pixels.std(2)], 1) / 255

def main(folder, name, n):
    pixels = np.load(Path(folder) / "data.npz")["image"][: int(n)]
    teacher = embedder(said, name="said", kind="image", width=16)
    record({"image": pixels}, teacher, Path(folder) / name, batch=4, say=lambda line: None)

if __name__ == "__main__":
    main(*sys.argv[1:])
    close_processes()
"""


def test_one_process_talks_to_itself() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert (world(), rank(), max_over_processes(3)) == (1, 0, 3)
    assert torch.equal(gather(x), x)
    assert not gather(x).requires_grad
    assert gather_objects("a") == ["a"]
    assert gather_objects(None) == []
    assert torch.equal(all_reduce_sum(x.detach().clone()), x)
    assert torch.equal(gather_shards(x[None], [range(3)], 2), x[None])
    broadcast_buffers(torch.nn.BatchNorm1d(3))
    close_processes()
    exit_process(3)  # it does not
    assert (world(), rank()) == (1, 0)
