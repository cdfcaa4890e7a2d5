"""A comparison is a sweep and its table, whatever stops it: real processes, signals and files."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

import mentee as package
from mentee import Component, Method, Term, compare, sweep
from mentee.data import open_examples
from mentee.errors import MenteeError
from mentee.evaluation.predictions import load
from mentee.models import build
from tests.conftest import taught_by
from tests.processes import Forked

Begin = Callable[..., Forked]
KL = Component("kl", {"temperature": 4.0})
WILD = {"wild": Method("wild", (Term("logits", KL, 1e38),), task=1e38)}


@pytest.fixture
def recipe(taught: Any) -> dict[str, Any]:
    return taught(method="none", train={"epochs": 1, "batch": 32}, data={"limit": 96})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "c"


def names(path: Path) -> set[str]:
    return {each.parent.name for each in path.glob("*/summary.json")}


def stamps(path: Path) -> dict[str, tuple[int, bytes]]:
    """When each summary was written, and what is in it."""
    return {
        each.parent.name: (each.stat().st_mtime_ns, each.read_bytes())
        for each in path.glob("*/summary.json")
    }


def entries(path: Path) -> dict[str, Any]:
    content = json.loads((path / "compare.json").read_text(encoding="utf-8"))
    return {entry["method"]: entry for entry in content["rows"]}


def test_over_the_folder_of_a_sweep(recipe: dict[str, Any], out: Path) -> None:
    kwargs: dict[str, Any] = {"processes": 1, "out": out, "say": str}
    sweep(recipe, ["kd", "none"], seeds=2, **kwargs)
    before = stamps(out)
    found = compare(recipe, ["kd", "sp"], seeds=2, **kwargs)
    assert names(out) == {
        f"resnet8-cifar-{m}-seed{s}" for m in ("none", "kd", "sp") for s in (0, 1)
    }
    assert {name: stamp for name, stamp in stamps(out).items() if name in before} == before
    assert {entry["method"] for entry in found.rows} == {"none", "kd", "sp"}
    assert json.loads(found.to_json()) == json.loads((out / "compare.json").read_text())
    # Scores are those of the runs; the difference is paired.
    score = {
        (m, s): json.loads((out / f"resnet8-cifar-{m}-seed{s}/summary.json").read_text())["test"]
        for m in ("none", "kd")
        for s in (0, 1)
    }
    kd = entries(out)["kd"]
    pairs = [score["kd", s]["accuracy"] - score["none", s]["accuracy"] for s in (0, 1)]
    assert kd["to_scratch"]["difference"] == pytest.approx(sum(pairs) / 2)
    assert kd["ece"] == pytest.approx((score["kd", 0]["ece"] + score["kd", 1]["ece"]) / 2)
    assert kd["verdict"] in ("HELPS", "HURTS", "INCONCLUSIVE")
    assert kd["memory"] > 1e8
    assert found.path == out
    assert "6 of 6 runs finished" in str(found)
    for ending in ("md", "svg", "html"):
        assert (out / f"compare.{ending}").stat().st_size > 500
    # Nothing is left to do, and nothing is done.
    lines: list[str] = []
    again = compare(recipe, ["kd", "sp"], seeds=2, processes=1, out=out, say=lines.append)
    assert again.content == found.content
    assert lines == []


def test_a_row_of_ones_own_is_compared_and_one_that_diverges_stops_nothing(
    recipe: dict[str, Any], out: Path
) -> None:
    rows = {**WILD, "mine": Method("mine", (Term("logits", KL, 1.0),))}
    asked = ["wild", "mine", "east-kd"]
    found = compare(recipe, asked, methods=rows, seeds=2, processes=1, out=out, say=str)
    assert names(out) == {f"resnet8-cifar-{m}-seed{s}" for m in ("none", "mine") for s in (0, 1)}
    said = entries(out)
    assert said["wild"]["missing"]["0"].startswith("DIVERGED at step ")
    assert said["wild"]["verdict"] is None
    assert said["east-kd"]["missing"]["1"].startswith("does not fit: method 'east-kd' compares")
    assert said["mine"]["seeds"] == [0, 1]
    assert said["mine"]["verdict"] is not None
    assert set(found.failed) == {
        f"resnet8-cifar-{m}-seed{s}" for m in ("wild", "east-kd") for s in (0, 1)
    }
    assert "DIVERGED at step " in str(found)
    # What does not fit is no obstacle to what is finished already.
    again = compare(recipe, asked, methods=rows, seeds=2, processes=1, out=out, say=str)
    assert {e["method"]: e["test"] for e in again.rows} == {m: e["test"] for m, e in said.items()}


def test_agreement_is_the_share_of_equal_classes(
    recipe: dict[str, Any], teacher: dict[str, Any], out: Path
) -> None:
    """Both networks are built by hand and asked again."""
    kwargs: dict[str, Any] = {"seeds": 1, "processes": 1, "out": out}
    lines: list[str] = []
    compare(recipe, ["kd"], say=lines.append, **kwargs)
    test = open_examples("embedded:digits", split="test")
    images = test.read(np.arange(len(test))).permute(0, 3, 1, 2).float() / 255

    def classes(name: str, weights: Path, mean: float, std: float, **options: Any) -> torch.Tensor:
        network = build(name, classes=10, channels=1, **options).eval()
        network.load_state_dict(load_file(weights))
        with torch.no_grad():
            return network((images - mean) / std).argmax(1)

    folder = out / "resnet8-cifar-kd-seed0"
    said = yaml.safe_load((folder / "recipe.yaml").read_text())["student"]["input"]
    own = said["mean"][0], said["std"][0]
    student = classes("resnet8-cifar", folder / "student.safetensors", *own, widths=(8, 16, 32))
    # The teacher's recipe names no input, so it reads what the training part has on average.
    theirs = classes("resnet8-cifar", Path(teacher["weights"]), *own)
    expected = float((student == theirs).float().mean())
    assert entries(out)["kd"]["agreement"] == pytest.approx(expected, abs=0.005)

    kept = load(folder / "predictions.npz")
    assert kept.ids.tolist() == list(test.ids)
    assert kept.columns["classes"].tolist() == student.tolist()
    assert kept.columns["classes"].dtype == np.int32
    # A folder of an earlier version is asked once, and its answer is the same.
    before = entries(out)
    (folder / "predictions.npz").unlink()
    compare(recipe, ["kd"], say=lines.append, **kwargs)
    assert sum("has no predictions.npz yet" in line for line in lines) == 1
    assert load(folder / "predictions.npz").columns["classes"].tolist() == student.tolist()
    assert entries(out) == before
    (asked,) = out.glob("teacher-*.npz")
    asked_at = asked.stat().st_mtime_ns
    compare(recipe, ["kd"], say=lines.append, **kwargs)
    assert asked.stat().st_mtime_ns == asked_at


def test_a_teacher_of_other_classes_has_no_column(
    recipe: dict[str, Any], tmp_path: Path, out: Path
) -> None:
    torch.manual_seed(0)
    other = build("resnet8-cifar", classes=7, channels=1)
    path = tmp_path / "other.pt"
    torch.save(other.state_dict(), path)
    said = {"network": "resnet8-cifar", "classes": 7, "weights": str(path)}
    found = compare(recipe | {"teacher": said}, ["fitnet"], seeds=1, processes=1, out=out, say=str)
    assert "the teacher has 7 classes, the data have 10." in " ".join(found.content["notes"])
    assert entries(out)["fitnet"]["agreement"] is None
    assert "agrees with teacher" not in (out / "compare.md").read_text()
    lone = {key: value for key, value in recipe.items() if key != "teacher"}
    none = compare(lone, ["none"], seeds=1, processes=1, out=tmp_path / "n", say=str)
    assert "names no teacher" in " ".join(none.content["notes"])


def test_the_command(recipe: dict[str, Any], file: Any, mentee: Any, out: Path) -> None:
    path = file(recipe)
    arguments = ["compare", path, "--methods", "kd,", "--seeds", "2", "--processes", "1"]
    status, said, err = mentee(*arguments, "--set", "train.batch=48", "--out", out)
    assert status == 0, err
    assert f"{out / 'compare'}.md" in said
    assert "4 of 4 runs finished" in said
    arguments[3] = "kd,east-kd"
    status, said, _ = mentee(*arguments, "--set", "train.batch=48", "--out", out)
    assert status == 1
    assert "does not fit" in said
    status, _, err = mentee(*arguments, "--out", out)
    assert status == 2
    assert "train.batch: 48 there, 32 here" in err


def test_the_public_name_is_the_function_after_its_home_is_imported() -> None:
    assert callable(package.compare)
    assert package.compare is compare


def test_of_one_seed_rows_differ_in_the_method_alone(recipe: dict[str, Any], out: Path) -> None:
    """A row whose term weighs nothing is scratch, to the last bit."""
    rows = {"nothing": Method("nothing", (Term("logits", KL, 0.0),))}
    compare(recipe, ["nothing"], methods=rows, seeds=2, processes=1, out=out, say=str)
    for seed in (0, 1):
        one, other = (
            load_file(out / f"resnet8-cifar-{m}-seed{seed}" / "student.safetensors")
            for m in ("none", "nothing")
        )
        assert all(one[name].equal(other[name]) for name in one)
    found = entries(out)["nothing"]
    assert found["to_scratch"]["difference"] == 0
    assert (found["to_scratch"]["p"], found["verdict"]) == (1.0, "INCONCLUSIVE")


# --- stopped at any moment ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(teacher: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe of 16 steps, a checkpoint every 3."""
    path = tmp_path_factory.mktemp("long") / "recipe.yaml"
    said = taught_by(
        teacher,
        method="none",
        train={"epochs": 4, "batch": 32},
        data={"limit": 128},
        save={"steps": 3, "minutes": None},
    )
    path.write_text(yaml.safe_dump(said))
    return str(path)


def command(path: str, out: Path) -> tuple[str, ...]:
    said = ("compare", path, "--methods", "kd", "--seeds", "2", "--views", "2")
    return ("-m", "mentee.cli", *said, "--processes", "1", "--out", str(out))


def wait_for(what: Callable[[], object], process: Forked) -> None:
    for _ in range(24_000):
        if what():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("it never came")


def test_kill_9_and_the_same_command_repeats_and_loses_nothing(
    begin: Begin, long: str, out: Path
) -> None:
    """Killed in the midst of a run; what was finished is not touched again."""
    process = begin(*command(long, out))
    wait_for(lambda: names(out) and (out / "compare.json").is_file(), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = stamps(out)
    content = json.loads((out / "compare.json").read_text())  # whole, whenever it was killed
    assert content["runs"]["of"] == 4
    assert len(finished) < 4
    last = begin(*command(long, out))
    said, err = last.communicate(timeout=600)
    assert last.returncode == 0, err
    now = stamps(out)
    assert {name: now[name] for name in finished} == finished
    assert len(now) == 4
    assert "4 of 4 runs finished" in said
    whole = compare(long, ["kd"], seeds=2, views=2, processes=1, out=out.parent / "w", say=str)
    rows = entries(out)
    assert {e["method"]: e["to_scratch"] for e in whole.rows} == {
        method: row["to_scratch"] for method, row in rows.items()
    }


KILLED_WRITING = """
import os, signal
from mentee import compare, files

write_text = files.write_text
times = 0


def half(path, text):
    global times
    if path.name == "compare.json":
        times += 1
        if times == 2:
            files.write(path, lambda beside: (
                beside.write_text(text[: len(text) // 2]), os.kill(os.getpid(), signal.SIGKILL)
            ))
    write_text(path, text)


files.write_text = half
compare({recipe!r}, ["kd"], seeds=2, views=2, processes=1, out={out!r})
"""


def test_killed_while_the_table_is_written(begin: Begin, long: str, out: Path) -> None:
    """A half of the new file never stands in place of the old one."""
    script = out.parent / "script.py"
    script.write_text(KILLED_WRITING.format(recipe=long, out=str(out)))
    process = begin(script)
    _, err = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, err
    content = json.loads((out / "compare.json").read_text())
    assert content["runs"] == {"finished": 1, "of": 4}
    finished = stamps(out)
    assert len(finished) == 2, "the run that the table does not tell of yet is whole"
    assert len(list(out.glob(".compare.json.*"))) == 1
    again = begin(*command(long, out))
    said, err = again.communicate(timeout=600)
    assert again.returncode == 0, err
    assert "2 finished before" in said
    assert {name: stamps(out)[name] for name in finished} == finished
    assert json.loads((out / "compare.json").read_text())["runs"] == {"finished": 4, "of": 4}
    assert not list(out.glob(".compare.*"))


def test_a_signal_ends_it_in_order_and_the_table_says_how_far_it_was(
    begin: Begin, long: str, out: Path
) -> None:
    process = begin(*command(long, out))
    wait_for(lambda: (out / "compare.json").is_file(), process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "the same command" in err
    content = json.loads((out / "compare.json").read_text())
    assert 0 < content["runs"]["finished"] < 4
    left = {text for e in content["rows"] for text in e["missing"].values()}
    assert left <= {"under way", "not started"}


def test_a_network_from_python_is_compared(recipe: dict[str, Any], out: Path) -> None:
    class Tiny(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
            self.classifier = nn.LazyLinear(classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(self.body(x))

    def make(classes: int) -> nn.Module:
        network = Tiny(classes)
        network(torch.zeros(1, 1, 8, 8))
        return network

    found = compare(recipe, ["kd"], student=make, seeds=1, processes=1, out=out, say=str)
    assert {entry["student"] for entry in found.rows} == {"given-make"}
    assert all(entry["agreement"] is not None for entry in found.rows)
    with pytest.raises(MenteeError, match="there is no method 'kdd'"):
        compare(recipe, ["kdd"], out=out.parent / "x")
