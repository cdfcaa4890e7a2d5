"""Files of a run that are empty, cut, or hold something else: one sentence that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentee import compare, pipeline, probe, resume, sweep, train
from mentee.api import evaluate
from mentee.errors import RunError
from mentee.evaluation.evaluator import write_report
from mentee.experiments.jobs import Job
from mentee.experiments.search import last_score
from mentee.recipe import read
from mentee.types import Step
from tests.conftest import digits
from tests.training.test_resume import assert_same

FAST = {"ways": ["knn"], "seeds": 1, "shares": [0.1], "who": ["student"]}
RECIPE = digits(train={"epochs": 2}, probe=FAST, save={"steps": 4})
DAMAGES = {
    "empty": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "a number": b"3",
    "no UTF-8": b'{"a": "\xff"}',
    "garbage": b"\x00\x01garbage",
    "deep": b"[" * 100_000,
}
damaged = pytest.mark.parametrize("damage", [*DAMAGES, "cut"])


def spoil(path: Path, damage: str) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else DAMAGES[damage])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run that was probed, one under way, a sweep and a pipeline."""
    out = tmp_path_factory.mktemp("runs")

    def stop(step: Step) -> None:
        if step.number == 14:
            raise KeyError

    train(RECIPE, out=out / "finished", quiet=True)
    probe(out / "finished", say=lambda line: None)
    with pytest.raises(KeyError):
        train(RECIPE, out=out / "begun", quiet=True, on_step=stop)
    sweep(RECIPE, ["none"], seeds=1, out=out / "sweep", say=lambda line: None)
    pipeline(RECIPE, out=out / "pipeline", quiet=True, say=lambda line: None)
    return {each.name: each for each in out.iterdir()}


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(folders[name], tmp_path / name))


def quietly(function: Callable[..., Any], path: Path) -> Any:
    """Use a folder as a person would who gives the same command again."""
    if function in (sweep, compare):
        return function(RECIPE, ["none"], seeds=1, out=path, say=lambda line: None)
    if function is pipeline:
        return function(RECIPE, out=path, quiet=True, say=lambda line: None)
    return function(path, say=lambda line: None) if function is probe else function(path)


@damaged
@pytest.mark.parametrize(
    ("folder", "name", "use"),
    [
        ("finished", "summary.json", resume),
        ("finished", "summary.json", write_report),
        ("finished", "probe.json", probe),
        ("finished", "probe.json", write_report),
        ("begun", "environment.json", resume),
        ("sweep", "resnet8-cifar-none-seed0/summary.json", sweep),
        ("sweep", "resnet8-cifar-none-seed0/summary.json", compare),
        ("pipeline", "pipeline.json", pipeline),
        ("pipeline", "run/summary.json", pipeline),
        ("pipeline", "run/probe.json", pipeline),
    ],
)
def test_a_damaged_file_is_named(
    damage: str, folder: str, name: str, use: Any, copy: Callable[[str], Path]
) -> None:
    path = copy(folder)
    spoil(path / name, damage)
    with pytest.raises(RunError) as refused:
        quietly(use, path)
    text = str(refused.value)
    if damage == "an empty object" and name == "pipeline.json":
        assert "was started with another recipe and live" in text
        return
    assert text.startswith(f"{path / name} ")
    assert "\n" not in text
    assert len(text) < 500
    assert any(advice in text for advice in ("delete it", "copy it from a backup", "restore it"))


@damaged
@pytest.mark.parametrize("use", [sweep, compare])
def test_a_damaged_plan_of_a_sweep(damage: str, use: Any, copy: Callable[[str], Path]) -> None:
    path = copy("sweep")
    spoil(path / "sweep.json", damage)
    with pytest.raises(RunError, match=r"sweep.json (cannot be read|holds)"):
        quietly(use, path)


@damaged
@pytest.mark.parametrize("use", [evaluate, probe, write_report, resume])
def test_a_finished_run_needs_no_environment(
    damage: str, use: Any, copy: Callable[[str], Path]
) -> None:
    path = copy("finished")
    spoil(path / "environment.json", damage)
    quietly(use, path)


def test_what_the_advice_says_works(copy: Callable[[str], Path]) -> None:
    path = copy("finished")
    before = json.loads((path / "summary.json").read_text())
    (path / "summary.json").unlink()
    resume(path, quiet=True)
    after = json.loads((path / "summary.json").read_text())
    times = ("seconds", "memory", "seconds_per_epoch")
    assert [after[key] for key in after if key not in times] == [
        before[key] for key in before if key not in times
    ]
    (path / "probe.json").write_text("")
    (path / "probe.json").unlink()
    assert probe(path, say=lambda line: None).content["rows"]


LINES = {
    "a cut line": b'{"step": 3, "epo\n',
    "an empty line": b"\n",
    "garbage": b"\xff\xfe\x00\n",
    "a list": b"[1]\n",
    "no step": b'{"epoch": 1}\n',
    "texts": b'{"step": 3, "epoch": 1, "losses": {"task": "x"}}\n',
    "a text": b'{"step": "3", "epoch": 1}\n',
}


@pytest.mark.parametrize("line", LINES)
def test_a_damaged_line_of_metrics_stops_nothing(
    line: str, copy: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is left out, which is noted, whichever place it has; a resumed run equals a whole one."""
    path, whole = copy("begun"), copy("finished")
    first, *others = (path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (path / "metrics.jsonl").write_bytes(b"".join([first, LINES[line], *others]))
    resume(path)
    assert "metrics.jsonl: a damaged line was left out\n" in capsys.readouterr().out
    assert_same(path, whole)
    content = (whole / "metrics.jsonl").read_bytes()
    (whole / "metrics.jsonl").write_bytes(LINES[line] * 2 + content)
    assert "- metrics.jsonl: 2 damaged lines were left out." in write_report(whole)
    job = Job("resnet8-cifar", "none", 0, read(RECIPE), whole)
    assert last_score(job, None) == json.loads(content.splitlines()[-1])["validation"]["accuracy"]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"", "metrics.jsonl ends at step 0 of 20."),
        (b'{"step": 3', "metrics.jsonl: a damaged line was left out."),
        (b'{"step": 7, "epoch": 1}\n', "metrics.jsonl ends at step 7 of 20."),
    ],
)
def test_the_report_tells_that_metrics_are_cut(
    content: bytes, note: str, copy: Callable[[str], Path]
) -> None:
    path = copy("finished")
    assert "metrics.jsonl ends" not in write_report(path)
    (path / "metrics.jsonl").write_bytes(content)
    assert f"- {note}" in write_report(path)


def test_metrics_that_are_gone_or_cut_do_not_stop_a_resume(copy: Callable[[str], Path]) -> None:
    for content in (None, b"", b'{"step": 3'):
        path = copy("begun")
        if content is None:
            (path / "metrics.jsonl").unlink()
        else:
            (path / "metrics.jsonl").write_bytes(content)
        assert resume(path, quiet=True).summary["steps"] == 20
        shutil.rmtree(path)


@pytest.mark.parametrize("damage", ["empty", "garbage", "another network"])
def test_damaged_best_weights_are_named(
    damage: str, copy: Callable[[str], Path], tmp_path: Path
) -> None:
    path = copy("finished")
    for name in ("summary.json", "student.safetensors"):
        (path / name).unlink()
    best = path / "checkpoints" / "best.safetensors"
    if damage == "another network":
        other = digits(student={"options": {"widths": [4, 8, 8]}}, train={"epochs": 1})
        train(other, out=tmp_path / "o", quiet=True)
        best.write_bytes((tmp_path / "o" / "student.safetensors").read_bytes())
    else:
        spoil(best, damage)
    with pytest.raises(RunError, match=r"best\.safetensors cannot be read as weights of this stud"):
        resume(path, quiet=True)


@pytest.mark.parametrize("text", ["", "\n", b"\xff"])
def test_a_failure_without_words(text: Any, copy: Callable[[str], Path]) -> None:
    path = copy("sweep")
    job = path / "resnet8-cifar-none-seed0"
    shutil.rmtree(job)
    job.mkdir()
    (job / "failure.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = quietly(compare, path)
    assert result.content["runs"] == {"finished": 1, "of": 1}


@pytest.mark.parametrize("content", [b"garbage\n", b'{"op_code": 0}\n', b"[1]\n{}\n"])
def test_a_damaged_journal_of_a_budget(content: bytes, tmp_path: Path) -> None:
    out = tmp_path / "c"
    out.mkdir()
    (out / "optuna.log").write_bytes(content)
    recipe = digits(train={"epochs": 2}, data={"limit": 64})
    with pytest.raises(RunError, match=r"c/optuna\.log cannot be read, .*; delete it, and the met"):
        compare(recipe, ["none"], seeds=1, out=out, budget=0.5, say=lambda line: None)
