"""The table of costs: what is counted, what is measured, and where it is written."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch
from torch import nn

import mentee
from mentee.errors import MenteeError, RunError
from mentee.evaluation.evaluator import write_report
from mentee.exporting import benchmark as module
from mentee.exporting.student import open_run
from mentee.exporting.subjects import pytorch
from mentee.exporting.timing import measure_in_turn


@pytest.fixture
def run(run_of, tmp_path):
    return shutil.copytree(run_of("digits")[0], tmp_path / "run")


def products(network, x):
    """Multiplications of convolutions and linear layers, one output after another."""
    counts = []

    def count(layer, args, output):
        if isinstance(layer, nn.Conv2d):
            counts.append(output.numel() * layer.in_channels * 9 ** (layer.kernel_size[0] == 3))
        elif isinstance(layer, nn.Linear):
            counts.append(output.numel() * layer.in_features)

    for each in network.modules():
        each.register_forward_hook(count)
    network(x)
    return sum(counts)


def test_a_run_is_measured_in_turn_and_reported(run, digits_onnx, monkeypatch):
    (run / "export").mkdir()
    shutil.copy(digits_onnx, run / "export" / "model.onnx")
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    threads = torch.get_num_threads()
    found = mentee.benchmark(run, rounds=2)
    assert torch.get_num_threads() == threads
    assert [(row["runtime"], row["threads"]) for row in found.rows] == [
        ("PyTorch", 1), ("PyTorch", 2), ("onnxruntime", 1), ("onnxruntime", 2),
    ]  # fmt: skip
    student = open_run(run)
    assert {row["macs"] for row in found.rows} == {
        products(student.network, torch.zeros(1, 1, 8, 8))
    }
    size = sum(each.numel() for each in student.network.parameters())
    assert {row["parameters"] for row in found.rows} == {size}
    files = [run / "student.safetensors", run / "export" / "model.onnx"]
    assert [row["bytes"] for row in found.rows[::2]] == [each.stat().st_size for each in files]
    for row in found.rows:
        assert 0 < row["p50"] <= row["p95"]
        assert row["throughput"] > 0
        assert 20e6 < row["memory"] < 4e9
    assert found.rows[2]["memory"] < found.rows[0]["memory"]  # no torch in it
    assert any("torch.compile: there is no C++ compiler (g++" in each for each in found.skipped)
    assert any("mentee export RUN --int8" in each for each in found.skipped)
    assert json.loads((run / "benchmark.json").read_text()) == json.loads(found.text("json"))
    assert [*csv.DictReader(found.text("csv").splitlines())][2]["runtime"] == "onnxruntime"
    for page in ("report.md", "report.html"):
        assert "Costs of a prediction" in (run / page).read_text()
    assert "million MACs" in found.text()


def test_a_file_is_measured_and_writes_nothing(digits_onnx):
    before = sorted(digits_onnx.parent.iterdir())
    found = mentee.benchmark(digits_onnx, rounds=2)
    assert {row["runtime"] for row in found.rows} == {"onnxruntime"}
    assert found.path is None
    assert sorted(digits_onnx.parent.iterdir()) == before


def test_the_teacher_is_measured_beside_its_student(taught, tmp_path, monkeypatch):
    run = mentee.train(taught(train={"epochs": 1}), out=tmp_path / "run", quiet=True).path
    monkeypatch.setattr(module, "cores", lambda: 1)
    monkeypatch.setattr("mentee.exporting.onnx_format.checked_opset", refuse)
    monkeypatch.setattr(module, "peak_memory", lambda *a: None)
    found = mentee.benchmark(run, rounds=2, compile=False)
    assert [row["network"] for row in found.rows] == ["student", "teacher"]
    assert any("student, onnxruntime: onnx is missing" in each for each in found.skipped)
    teacher = pytorch(str(run), "teacher")
    assert teacher(torch.zeros(2, 1, 8, 8, dtype=torch.uint8).numpy()).shape == (2, 10)


def refuse(opset):
    raise MenteeError("onnx is missing")


def test_what_runs_is_timed_in_turn():
    order = []
    seconds = measure_in_turn(
        {"a": lambda n: order.append("a"), "b": lambda n: order.append("b")}, 3
    )
    turn = ["a"] * 7 + ["b"] * 7  # one that is not timed, five of 1, one of 32
    assert order == ["a", "a", "b", "b", *turn * 3]
    assert {size: len(each) for size, each in seconds["a"].items()} == {1: 15, 32: 3}


def test_mistakes_are_one_sentence(run, tmp_path):
    with pytest.raises(MenteeError, match="rounds are 2 or more, for a median; got 1"):
        mentee.benchmark(run, rounds=1)
    with pytest.raises(RunError, match="is no run"):
        mentee.benchmark(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"there is no file .*nowhere\.onnx; mentee export writes"):
        mentee.benchmark(tmp_path / "nowhere.onnx")
    assert not (run / "benchmark.json").exists()
    (run / "benchmark.json").write_text("{}")
    with pytest.raises(RunError, match="has no rows as mentee writes them; delete it, or measure"):
        write_report(run)
