"""How the student is computed: measured where the recipe says so, without a trace in the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from mentee import train
from mentee.build.compute_mode import verdict
from mentee.build.setup import build
from mentee.distillation.loop import CompiledForward
from mentee.recipe import read
from mentee.runs.checkpoint import random_state
from mentee.runs.folder import Folder
from tests.conftest import digits

AUTO = {"channels_last": "auto", "compile": "auto"}


def test_a_measured_run_is_the_run_that_its_recipe_says(tmp_path: Path) -> None:
    measured = train(digits(train=AUTO), out=tmp_path / "measured")
    said = yaml.safe_load((measured.path / "recipe.yaml").read_text())["train"]
    assert {type(said["channels_last"]), type(said["compile"])} == {bool}
    fixed = train(measured.path / "recipe.yaml", out=tmp_path / "fixed", quiet=True)
    for name in ("student.safetensors", "metrics.jsonl"):
        assert (measured.path / name).read_bytes() == (fixed.path / name).read_bytes()
    assert fixed.summary["compute_notes"] == []


def test_what_was_measured_is_shown_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(digits(train=AUTO | {"epochs": 1}), out=tmp_path / "run")
    lines = run.summary["compute_notes"]
    assert [line.partition(":")[0] for line in lines] == ["channels-last", "compile"]
    assert "not tried, since the student's part of all 10 steps takes 0 s in all" in lines[1]
    assert capsys.readouterr().out.splitlines()[1:3] == lines
    assert json.loads((run.path / "environment.json").read_text())["compute_notes"] == lines
    report = (run.path / "report.md").read_text()
    assert all(f"Measured: {line}." in report for line in lines)
    assert f"| student compute | {run.summary['computed']} |" in report


def test_nothing_is_touched() -> None:
    plain = build(read(digits()))
    random = random_state()
    measured = build(read(digits(train=AUTO)))
    assert len(measured.compute_notes) == 2
    # Not Python's own generator: the type checks of the tests draw from it.
    assert torch.equal(random_state()["torch"], random["torch"])
    assert str(random_state()["numpy"]) == str(random["numpy"])
    there = measured.module.state_dict()
    for name, value in plain.module.state_dict().items():
        assert torch.equal(value, there[name]), name
    assert all(p.grad is None for p in measured.module.parameters())


@pytest.mark.parametrize(
    ("numbers", "pays", "text"),
    [
        ((50.0, 41.0, 21.0, 1560), False, "pays after 2,334 of 1,560 steps"),
        ((50.0, 41.0, 21.0, 2335), True, "18 % less a step (50.0 → 41.0 ms), 21 s to compile"),
        ((50.0, 49.0, 1.0, 10**9), False, "not 3 % less a step (50.0 → 49.0 ms)"),
        ((50.0, 60.0, 1.0, 10**9), False, "not 3 % less a step"),
    ],
)
def test_when_compiling_pays(
    numbers: tuple[float, float, float, int], pays: bool, text: str
) -> None:
    found, line = verdict(*numbers)
    assert found is pays
    assert line.startswith(f"compile: {'yes' if pays else 'no'}; ")
    assert text in line


@pytest.mark.parametrize("last", [True, False])
def test_the_layout_reaches_every_map(last: bool) -> None:
    seen = []
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    network[0].register_forward_hook(lambda m, args, out: seen.extend([args[0], m.weight, out]))
    for given in (torch.channels_last, torch.contiguous_format):
        x = torch.rand(2, 3, 8, 8).contiguous(memory_format=given)
        CompiledForward(network, channels_last=last, compiled=False)(x)
    wanted = torch.channels_last if last else torch.contiguous_format
    assert len(seen) == 6
    assert all(each.is_contiguous(memory_format=wanted) for each in seen)


# Type checks at test time break the graph of what is compiled: each in an interpreter of its own.
TRAIN = """
import os, signal, sys, yaml
from mentee import resume, train
from mentee.build import compute_mode

def kill(step):
    if step.number == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    compute_mode.WORTH_TRYING = 0.0
    for what, out in zip(sys.argv[2::2], sys.argv[3::2]):
        if what == "resume":
            resume(out)
        else:
            train(what, out=out, on_step=kill)
"""


def python(*args: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRAIN, *map(str, args)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **more},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


def test_without_a_compiler(tmp_path: Path) -> None:
    """Auto says so and goes on; who asks for it is told what is missing."""
    missing = {"CXX": "/no/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    runs: list[Path] = []
    for said in ("auto", True):
        recipe = tmp_path / f"{said}.yaml"
        recipe.write_text(yaml.safe_dump(digits(train={"epochs": 1, "compile": said})))
        runs += [recipe, tmp_path / f"run-{said}"]
    done = python(0, *runs, **missing, TORCHINDUCTOR_COMPILE_THREADS="1")
    assert (tmp_path / "run-auto" / "summary.json").is_file(), done.stderr
    assert "compile: no; torch.compile does not work here: " in done.stdout
    assert "RecipeError: train.compile is true, but torch.compile does not" in done.stderr
    assert "such as a C++ compiler (g++), or set train.compile: false" in done.stderr
    assert not (tmp_path / "run-True").exists()


@pytest.mark.slow
def test_a_compiled_run_killed_and_resumed(tmp_path: Path, taught, file) -> None:
    """Read at every stage, compiled: equal to the last bit after kill -9, close to not compiled."""
    recipe = taught(method="cktf+kd", train={"compile": True}, save={"steps": 7, "minutes": None})
    whole = python(0, file(recipe), tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    killed = python(17, file(recipe), tmp_path / "run")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = python(0, "resume", tmp_path / "run")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("student.safetensors", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (
        "| student compute | channels-last, compiled |"
        in (tmp_path / "run" / "report.md").read_text()
    )
    plain = train(recipe | {"train": {**recipe["train"], "compile": False}}, out=tmp_path / "plain")
    first = [
        next(line["losses"] for line in Folder(path).read_metrics() if "losses" in line)
        for path in (plain.path, tmp_path / "run")
    ]
    assert first[0] == pytest.approx(first[1], rel=0.02)
