from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mentee import cli
from mentee.methods import METHODS

SMALL: dict[str, Any] = {
    "data": {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 160},
    "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 16]}},
    "train": {"epochs": 2, "batch": 32},
}
HEAVY = ("torch", "numpy", "accelerate", "datasets", "sklearn", "pydantic", "timm", "torchvision")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


@pytest.fixture
def mentee(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command line in this process: exit status, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["mentee", *map(str, arguments)])
        status: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, mentee.cli\n"
        "try:\n    mentee.cli.app(['--help'])\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    said = python("-c", code).stdout
    assert said.rstrip().endswith("\n[]"), said
    assert "Train a student by a recipe." in said


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "resume",
        "evaluate",
        "methods",
        "layers",
        "demo",
        "sweep",
        "probe",
        "pipeline",
        "distill",
    ],
)
def test_help_of_a_command_loads_no_torch(command: str, mentee: Any) -> None:
    status, out, _ = mentee(command, "--help")
    assert status == 0
    assert f"mentee {command}" in out


def test_help_takes_less_than_half_a_second_of_a_processor() -> None:
    def spent() -> float:
        said = resource.getrusage(resource.RUSAGE_CHILDREN)
        return said.ru_utime + said.ru_stime

    seconds = []
    for _ in range(3):
        began = spent()
        python("-m", "mentee.cli", "--help")
        seconds.append(spent() - began)
    assert 0.01 < min(seconds) < 0.5


def test_importing_the_package_loads_no_torch() -> None:
    assert python("-c", "import sys, mentee; print('torch' in sys.modules)").stdout == "False\n"


def test_train_evaluate_and_what_a_run_leaves(mentee: Any, recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    status, out, err = mentee("train", recipe, "--out", run, "--set", "train.batch=16")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["epoch", f"{i}/2"] for i in (1, 2)]
    assert lines[-2].startswith("test: accuracy 0.")
    assert lines[-1] == f"{run}/student.safetensors  {run}/report.html"
    assert "\x1b" not in out, "plain, as this is no terminal"
    left = sorted(path.name for path in run.iterdir())
    assert left == [
        "checkpoints",
        "diagnostics.json",
        "environment.json",
        "metrics.jsonl",
        "predictions.npz",
        "recipe.yaml",
        "report.html",
        "report.md",
        "student.safetensors",
        "summary.json",
    ]
    tested = dict(zip(*[iter(lines[-2].removeprefix("test: ").split())] * 2, strict=True))
    status, out, _ = mentee("evaluate", run)
    assert status == 0
    assert dict(line.split() for line in out.splitlines()) == tested
    status, out, _ = mentee("evaluate", run, "--split", "train")
    assert status == 0
    assert dict(line.split() for line in out.splitlines()) != tested


def test_the_default_folder_is_the_next_free_one(
    mentee: Any, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        _, out, _ = mentee("train", recipe, "--set", "train.epochs=1")
        assert out.splitlines()[-1].startswith(f"runs/resnet8-cifar-none-{number}/student")


def test_methods(mentee: Any) -> None:
    _, out, _ = mentee("methods")
    for row in METHODS.values():
        assert f"{row.name} " in out
        assert row.about in out
    _, out, _ = mentee("methods", "crd+kd")
    assert "L =  1 · task" in out
    assert "+ 1 · kl(temperature=4.0) of as_is at logits" in out
    status, _, err = mentee("methods", "cktv")
    assert (status, err[:48]) == (2, "error: there is no method 'cktv'; did you mean '")


def test_methods_that_fit_two_networks(mentee: Any) -> None:
    pair = ("--student", "resnet8-cifar", "--teacher", "resnet20-cifar", "--size", "8")
    _, out, _ = mentee("methods", *pair, "--teacher-classes", "5", "--examples", "100")
    assert "student resnet8-cifar (78,042 parameters), teacher resnet20-cifar" in out
    fits, _, not_ = out.partition("does not fit")
    assert "\ncrd " in fits
    assert "\nkd " in not_
    _, out, _ = mentee("methods", "kd", *pair)
    assert out.startswith("kd: ")
    assert "20 B" in out
    status, _, err = mentee("methods", "--student", "resnet8-cifar")
    assert (status, err) == (2, "error: a pair has two networks: give --student and --teacher\n")


def test_layers(mentee: Any) -> None:
    status, out, _ = mentee("layers", "resnet8-cifar", "--size", "8", "--channels", "1")
    assert status == 0
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert {"stem", "stages.0", "stages.2", "embedding", "logits"} <= rows.keys()
    assert "64 × 2 × 2" in rows["stages.2"]
    assert "input of fc" in rows["embedding"]
    _, every, _ = mentee("layers", "resnet8-cifar", "--size", "8", "--channels", "1", "--all")
    assert len(every.splitlines()) > len(out.splitlines())


def test_a_run_that_is_not_finished_cannot_be_evaluated(mentee: Any, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("")
    status, _, err = mentee("evaluate", tmp_path)
    assert status == 2
    assert (
        "has no student.safetensors: the run is not finished; resume it with mentee resume" in err
    )


def test_a_run_without_a_test_part_wants_a_split(mentee: Any, recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    mentee("train", recipe, "--out", run, "--set", "train.epochs=1", "--set", "data.test=null")
    status, _, err = mentee("evaluate", run)
    assert status == 2
    assert "has no test part; say which split to score with --split, or give other data" in err
    assert mentee("evaluate", run, "--split", "test")[0] == 0


def test_a_student_is_scored_on_other_data_with_fewer_classes(
    mentee: Any, recipe: Path, tmp_path: Path
) -> None:
    import numpy as np
    from PIL import Image

    from mentee.api import evaluate

    run = tmp_path / "run"
    assert mentee("train", recipe, "--out", run)[0] == 0
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    labels = np.array([3, 3, 3, 7, 7, 7])
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "other" / "test" / str(label) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    from_arrays = evaluate(run, data={"image": images, "label": labels})
    status, out, _ = mentee("evaluate", run, "--data", tmp_path / "other")
    assert status == 0
    said = {line.split()[0]: float(line.split()[1]) for line in out.splitlines()}
    assert said == pytest.approx(from_arrays, abs=1e-4)


def test_python_m_mentee_cli_says_a_mistake_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mentee.cli", "resume", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path} is no run: it has no recipe.yaml\n"
