"""Successive halving: which rows go on, what is saved of the others, and what a kill changes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from mentee import compare, resume, train
from mentee.errors import MenteeError, RecipeError
from mentee.experiments.jobs import Job, plan_jobs
from mentee.experiments.search import SuccessiveHalving, rungs
from mentee.experiments.workers import WorkerMessage
from mentee.recipe import read
from tests.conftest import taught_by
from tests.experiments.test_compare import names, stamps, wait_for
from tests.processes import Forked

pytest.importorskip("optuna", reason="needs the extra `compare`")

RECIPE = read({"data": "embedded:digits", "student": "resnet8-cifar", "train": {"epochs": 9}})
METHODS = ["none", "a", "b", "c", "d", "e", "f"]


def reach(job: Job, epoch: int, value: float) -> None:
    """What a run leaves that was validated after an epoch."""
    job.path.mkdir(exist_ok=True)
    with (job.path / "metrics.jsonl").open("a") as out:
        out.write(
            json.dumps({"step": epoch, "epoch": epoch, "validation": {"accuracy": value}}) + "\n"
        )


def end(job: Job) -> None:
    (job.path / "summary.json").write_text("{}")


def halved(
    jobs: list[Job], values: dict[str, float], out: Path, *, again: bool = False
) -> list[str]:
    """Drive a whole comparison by hand; the order of the parts of the runs.

    Args:
        again: forget all between two parts, as a kill does.
    """
    halving = SuccessiveHalving(RECIPE, jobs, 0.25, out)
    waiting, done = halving.first_jobs([job for job in jobs if not job.finished]), []
    while waiting:
        job = waiting.pop(0)
        done.append(f"{job.method}{job.seed}:{job.until or 9}")
        reach(job, job.until or 9, values[job.method])
        told = (
            WorkerMessage(job.name, "paused", job.until)
            if job.until
            else WorkerMessage(job.name, "finished", 9)
        )
        if not job.until:
            end(job)
        waiting += halving.next_jobs(told)
        if again:
            halving = SuccessiveHalving(RECIPE, jobs, 0.25, out)
            waiting = halving.first_jobs([each for each in jobs if not each.finished])
    return done


def test_rungs() -> None:
    assert rungs(9, 0.25, 1) == [2, 6]
    assert rungs(100, 0.04, 5) == [5, 15, 45]
    with pytest.raises(RecipeError, match="above 0 and below 1, not 1"):
        rungs(9, 1.0, 1)


def test_a_third_goes_on_and_the_rest_is_not_trained(tmp_path: Path) -> None:
    values = {"none": 0.5, "a": 0.1, "b": 0.6, "c": 0.2, "d": 0.3, "e": 0.9, "f": 0.4}
    jobs = plan_jobs(RECIPE, [], METHODS, 2, tmp_path)
    done = halved(jobs, values, tmp_path)
    # Of 1 the best goes on, of 2 the best, ..., of 6 the best two (optuna counts those so far).
    assert [part for part in done if part.endswith("0:2")] == [f"{m}0:2" for m in METHODS]
    assert {part for part in done if part.endswith("0:6")} == {"none0:6", "b0:6", "e0:6"}
    # At the second rung only the best so far goes on; scratch does anyway.
    whole = {part for part in done if part.endswith(":9")}
    assert {"none0:9", "none1:9", "e0:9", "e1:9"} <= whole
    assert not any(part.startswith(("a1", "c1", "d1", "f1")) for part in done)
    stopped = SuccessiveHalving(RECIPE, jobs, 0.25, tmp_path).stopped()
    assert stopped[jobs[1].name] == "STOPPED after epoch 2: validation 0.1000"
    assert {job.method for job in jobs if job.name in stopped} >= {"a", "c", "d", "f"}
    assert all(job.name in stopped for job in jobs if not job.finished)


def test_scratch_is_never_stopped(tmp_path: Path) -> None:
    values = {m: 0.5 + 0.01 * i for i, m in enumerate(METHODS)} | {"none": 0.0}
    order = ["a", "b", "none", "c"]
    jobs = plan_jobs(RECIPE, [], order, 2, tmp_path)
    done = halved(jobs, values, tmp_path)
    assert {"none0:2", "none0:6", "none0:9", "none1:9"} <= set(done)


def test_a_kill_between_any_two_parts_changes_no_decision(tmp_path: Path) -> None:
    values = {"none": 0.5, "a": 0.1, "b": 0.6, "c": 0.2, "d": 0.3, "e": 0.9, "f": 0.4}
    outs = []
    for name, again in (("one", False), ("two", True)):
        out = tmp_path / name
        out.mkdir()
        jobs = plan_jobs(RECIPE, [], METHODS, 2, out)
        done = halved(jobs, values, out, again=again)
        assert len(done) == len(set(done)), "nothing is trained twice"
        outs.append(
            (
                SuccessiveHalving(RECIPE, jobs, 0.25, out).stopped().values(),
                {j.name for j in jobs if j.finished},
            )
        )
    assert outs[0][1] == outs[1][1]
    assert sorted(outs[0][0]) == sorted(outs[1][0])


def test_a_run_that_fails_is_tried_again_and_stops_nothing(tmp_path: Path) -> None:
    jobs = plan_jobs(RECIPE, [], ["none", "a", "b"], 2, tmp_path)
    halving = SuccessiveHalving(RECIPE, jobs, 0.25, tmp_path)
    first = {job.method: job for job in halving.first_jobs(jobs) if job.seed == 0}
    reach(first["none"], 2, 0.5)
    assert [
        job.until for job in halving.next_jobs(WorkerMessage(first["none"].name, "paused", 2))
    ] == [6]
    assert halving.next_jobs(WorkerMessage(first["a"].name, "failed", text="the loss is nan")) == []
    assert first["a"].name not in halving.stopped()
    again = SuccessiveHalving(RECIPE, jobs, 0.25, tmp_path)
    back = {job.name: job.until for job in again.first_jobs(jobs)}
    assert back[first["a"].name] == 2
    assert back[first["none"].name] == 6
    reach(first["a"], 2, 0.6)
    assert [job.until for job in again.next_jobs(WorkerMessage(first["a"].name, "paused", 2))] == [
        6
    ]


def test_without_a_score_nothing_is_stopped_and_it_ends(tmp_path: Path) -> None:
    jobs = plan_jobs(RECIPE, [], ["none", "a"], 1, tmp_path)
    halving = SuccessiveHalving(RECIPE, jobs, 0.25, tmp_path)
    job = halving.first_jobs(jobs)[1]
    (job.path).mkdir()
    parts = [job.until]
    while job.until:
        (job,) = halving.next_jobs(WorkerMessage(job.name, "paused", job.until))
        parts.append(job.until)
    assert parts == [2, 6, None]
    assert halving.next_jobs(WorkerMessage(job.name, "finished", 9)) == []


def test_students_compete_among_themselves(tmp_path: Path) -> None:
    students = ["resnet8-cifar", "vgg8"]
    jobs = plan_jobs(RECIPE, students, ["none", "a", "b"], 1, tmp_path)
    halving = SuccessiveHalving(RECIPE, jobs, 0.25, tmp_path)
    for job in halving.first_jobs(jobs):
        high = 0.5 if job.student == "vgg8" else 0.0
        reach(job, 2, high + {"none": 0.2, "a": 0.1, "b": 0.3}[job.method])
        halving.next_jobs(WorkerMessage(job.name, "paused", 2))
    stopped = set(halving.stopped())
    assert stopped == {f"{s}-a-seed0" for s in students}


def test_what_a_budget_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = plan_jobs(RECIPE, [], ["none"], 1, tmp_path)
    data = RECIPE.data.model_copy(update={"validation": None})
    with pytest.raises(RecipeError, match=r"data\.validation is null"):
        SuccessiveHalving(RECIPE.model_copy(update={"data": data}), jobs, 0.25, tmp_path)
    with pytest.raises(RecipeError, match="leaves nothing to stop"):
        SuccessiveHalving(RECIPE, jobs, 0.99, tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MenteeError, match=r"pip install 'mentee\[compare\]'"):
        SuccessiveHalving(RECIPE, jobs, 0.25, tmp_path)


# --- with runs -----------------------------------------------------------------------------------


def short_recipe(teacher: dict[str, Any]) -> dict[str, Any]:
    return taught_by(teacher, method="none", train={"epochs": 4, "batch": 32}, data={"limit": 96})


def test_a_stopped_run_is_whole_and_can_be_resumed(teacher: dict[str, Any], tmp_path: Path) -> None:
    recipe, out = short_recipe(teacher), tmp_path / "c"
    asked = ["kd", "sp", "at"]
    kwargs: dict[str, Any] = {"seeds": 2, "processes": 1, "say": str}
    found = compare(recipe, asked, budget=0.25, out=out, **kwargs)
    stopped = [e["method"] for e in found.rows if "STOPPED" in str(e["missing"])]
    assert stopped
    assert "none" not in stopped
    for entry in found.rows:
        if entry["method"] in stopped:
            assert (entry["verdict"], entry["seeds"]) == (None, [])
        else:
            assert entry["seeds"] == [0, 1]
    assert not found.failed
    assert (found.content["budget"]["rungs"], found.content["budget"]["share"]) == ([1, 3], 0.25)
    assert len(names(out)) == 2 * (4 - len(stopped))
    # The same command leaves it so; without the budget the rest is trained.
    before = stamps(out)
    again = compare(recipe, asked, budget=0.25, out=out, **kwargs)
    assert stamps(out) == before
    assert again.content == found.content
    resume(out / f"resnet8-cifar-{stopped[0]}-seed0", quiet=True)
    compare(recipe, asked, out=out, **kwargs)
    assert {name: stamp for name, stamp in stamps(out).items() if name in before} == before
    assert len(names(out)) == 8
    # Pausing at rungs changes no run, to the last bit.
    for method in (stopped[0], "none"):
        paused = out / f"resnet8-cifar-{method}-seed0"
        straight = train(paused / "recipe.yaml", out=tmp_path / method, quiet=True)
        weights = [load_file(p / "student.safetensors") for p in (paused, straight.path)]
        assert all(weights[0][name].equal(weights[1][name]) for name in weights[1])


def test_kill_9_in_the_midst_of_it(
    begin: Callable[..., Forked], teacher: dict[str, Any], tmp_path: Path
) -> None:
    path, out = tmp_path / "recipe.yaml", tmp_path / "c"
    path.write_text(yaml.safe_dump(short_recipe(teacher)))
    arguments = ["-m", "mentee.cli", "compare", path, "--methods", "kd,sp", "--seeds", "2"]
    arguments += ["--budget", "0.25", "--processes", "1", "--out", out]
    process = begin(*arguments)
    wait_for(lambda: "intermediate_value" in read_text(out / "optuna.log"), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = begin(*arguments)
    told, err = again.communicate(timeout=600)
    assert again.returncode == 0, err
    content = json.loads((out / "compare.json").read_text())
    for entry in content["rows"]:
        assert entry["seeds"] == [0, 1] or "STOPPED after epoch" in entry["missing"]["0"], told
    killed = next(e for e in content["rows"] if e["method"] == "none")
    run = out / "resnet8-cifar-none-seed0"
    straight = train(run / "recipe.yaml", out=tmp_path / "s", quiet=True)
    assert killed["test"]["scores"]["0"] == straight.summary["test"]["accuracy"]


def read_text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def test_a_job_may_end_before_its_end(teacher: dict[str, Any], tmp_path: Path) -> None:
    from mentee.build.overrides import PythonOverrides
    from mentee.experiments.workers import run_job

    job = plan_jobs(read(short_recipe(teacher)), [], ["none"], 1, tmp_path)[0]
    told = run_job(replace(job, until=2), PythonOverrides(), lambda told: None)
    assert (told.event, told.step) == ("paused", 2)
    epochs = [line["epoch"] for line in job.folder.read_metrics() if "validation" in line]
    assert epochs == [1, 2]
    assert run_job(replace(job, until=2), PythonOverrides(), lambda told: None).event == "paused"
    assert run_job(job, PythonOverrides(), lambda told: None).event == "finished"
