"""Quantized files: what they hold, what is searched, and when float is kept."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

import mentee
from mentee.errors import DataError, MenteeError
from mentee.evaluation.student_reader import finished_recipe
from mentee.exporting import int8
from mentee.exporting.int8 import Judged, Quantized, quantize
from mentee.exporting.student import held_out, open_run

FOUND = Quantized(
    False, "", "static", 256, (), 10, "validation", 200, "accuracy", (0.9, 0.899), (0.1, 0.0, 0.2),
    0.99, (1000, 400), {1: (1.0, 0.8), 32: (8.0, 5.0)},
)  # fmt: skip


@pytest.fixture
def float_file(run_of, exported_of, tmp_path):
    """A run's student as `quantize` takes it, and a folder with its float file alone."""

    def prepared(name):
        run, data = run_of(name)
        shutil.copy(exported_of(name, "onnx").path, tmp_path / "model.onnx")
        splits, _, part = held_out(finished_recipe(run), data, 64)
        return open_run(run, splits), data, tmp_path, part

    return prepared


def test_weights_are_8_bits_with_a_scale_for_each_channel(float_file):
    student, data, folder, part = float_file("digits")
    found = quantize(student, data, folder, part, 100.0)
    assert found.kept
    assert (found.calibration, found.part, found.layers) == (256, "validation", 10)
    assert found.float_layers == ()
    model = onnx.load(folder / "model-int8.onnx")
    held = {each.name: each for each in model.graph.initializer}
    weight = held["network.layer3.0.conv2.weight_quantized"]
    assert (weight.data_type, [*weight.dims]) == (onnx.TensorProto.INT8, [32, 32, 3, 3])
    assert [*held["network.layer3.0.conv2.weight_scale"].dims] == [32]
    scale = onnx.numpy_helper.to_array(held["network.layer3.0.conv2.weight_scale"])
    restored = onnx.numpy_helper.to_array(weight) * scale[:, None, None, None]
    bn = student.network.layer3[0].bn2
    folded = student.network.layer3[0].conv2.weight.detach() * (
        bn.weight / (bn.running_var + bn.eps).sqrt()
    ).detach().reshape(-1, 1, 1, 1)
    assert np.abs(restored - folded.numpy()).max() <= 0.51 * scale.max()
    front = [node.op_type for node in model.graph.node][:4]
    assert front == ["Cast", "Div", "Sub", "Div"]  # normalization stays in float
    assert found.bytes[0] == (folder / "model.onnx").stat().st_size
    assert found.bytes[1] < (folder / "model-int8.onnx").stat().st_size < found.bytes[0]
    opened = mentee.load(folder / "model-int8.onnx")
    about = opened.signature.about["int8"]
    assert (about["calibration"], about["method"]) == (256, "static QDQ, per channel, MinMax")
    assert about["scores"] == pytest.approx(found.scores)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 8, 8), np.uint8)
    ours, theirs = (
        each.outputs([*pixels]) for each in (opened, mentee.load(folder / "model.onnx"))
    )
    assert 0 < np.abs(ours - theirs).max() < 0.5 * np.abs(theirs).max()


def test_layers_are_left_in_float_by_their_effect(float_file, monkeypatch):
    student, data, folder, part = float_file("digits")
    drops = iter([3.0, 2.0, 0.2])
    monkeypatch.setattr(
        int8, "compared", lambda *a: Judged("accuracy", (0.9, 0.9), (next(drops), 0.0, 0.0))
    )
    order = []

    def by_effect(student, content, build, layers, calibration):
        order.extend(layers[3:6])
        assert len(calibration) == 256
        return [*layers[3:6]]

    monkeypatch.setattr(int8, "by_effect", by_effect)
    found = quantize(student, data, folder, part, 0.5)
    assert len(found.float_layers) == 2
    assert found.float_layers[0].endswith(("conv1", "conv2", "downsample.0"))
    model = onnx.load(folder / "model-int8.onnx")
    inputs = {node.name: node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    floats = [name for name, weight in inputs.items() if "Dequantize" not in weight]
    assert sorted(name for name in floats if name in order) == sorted(order[:2])


def test_a_layers_effect_is_what_its_quantization_alone_changes(float_file, monkeypatch):
    student, *_ = float_file("digits")
    changed = {b"a": 0.1, b"b": -2.0, b"c": 1.0}

    def outputs(content, student, examples):
        return torch.full((4, 2), changed.get(content, 0.0))

    monkeypatch.setattr(int8, "outputs", outputs)

    def build(float_layers):
        (alone,) = {"a", "b", "c"} - {*float_layers}
        return alone.encode()

    found = int8.by_effect(student, b"float", build, ["a", "b", "c"], student.splits.train)
    assert found == ["b", "c", "a"]


def test_the_drop_is_that_of_the_score_with_a_paired_interval(run_of):
    run, _ = run_of("digits")
    splits, some, _ = held_out(finished_recipe(run), None, 100)
    student = open_run(run, splits)
    labels = torch.as_tensor(some.labels)
    right = torch.nn.functional.one_hot(labels, 10).float()
    wrong = right.clone()
    wrong[:10] = right[:10].roll(1, dims=1)
    found = int8.compared(student, right, wrong, some)
    assert found.scores == pytest.approx((1.0, 0.9))
    assert found.drop[0] == pytest.approx(10.0)
    assert 0 < found.drop[1] < 10 < found.drop[2] < 20
    assert int8.compared(student, right, right, some).drop == (0, 0, 0)
    embedding = replace(student, signature=replace(student.signature, output="embedding"))
    found = int8.compared(embedding, right, wrong, some)
    assert (found.score, found.scores[1]) == ("cosine", pytest.approx(0.9))


@pytest.mark.parametrize(
    ("change", "kept", "reason"),
    [
        ({}, True, "0.40 times the bytes and 0.80 times the milliseconds"),
        ({"drop": (0.7, 0.1, 1.3)}, False, "0.70 points are lost, allowed are 0.5"),
        (
            {"drop": (0.7, 0.0, 1.0), "float_layers": ("a", "b")},
            False,
            "with 2 of 10 layers in float",
        ),
        ({"bytes": (1000, 1100), "milliseconds": {1: (1.0, 1.5)}}, False, "1.50 times the mill"),
        ({"bytes": (1000, 1100)}, True, "1.10 times the bytes and 0.80 times"),
        ({"bytes": (1000, 1300)}, False, "1.30 times the bytes and 0.80 times"),
        ({"bytes": (1000, 900), "milliseconds": {1: (1.0, 1.5)}}, False, "0.90 times the bytes"),
        ({"milliseconds": {1: (1.0, 1.5)}}, True, "0.40 times the bytes and 1.50 times"),
    ],
)
def test_int8_is_kept_where_it_is_smaller_or_faster_by_more_than_it_loses(change, kept, reason):
    found = int8.decided(replace(FOUND, **change), 0.5)
    assert found.kept is kept
    assert reason in str(found)
    assert ("int8 is kept" in str(found)) is kept


def test_ranges_are_of_training_examples_alone(run_of):
    for name in ("digits", "audio", "text"):
        run, data = run_of(name)
        splits, held, part = held_out(finished_recipe(run), data, 1000)
        student = open_run(run, splits)
        calibration, judged, called = int8.parts(student, data, part)
        assert called == "validation"
        assert {*held.ids} == {*judged.ids}
        assert not {*calibration.ids} & {*judged.ids}
    calibration, judged, called = int8.parts(student, data, "training")
    assert called == "training"
    assert not {*calibration.ids} & {*judged.ids}
    one = replace(splits, train=splits.train.take([0]))
    with pytest.raises(DataError, match="others for the comparison; there are 1; export without"):
        int8.parts(replace(student, splits=one), data, "training")


def test_export_writes_both_files_or_removes_the_older(run_of, tmp_path, monkeypatch):
    run, data = run_of("text")
    (tmp_path / "model-int8.onnx").write_text("of an earlier model")
    exported = mentee.export(run, data=data, int8=True, max_drop=100.0, out=tmp_path)
    assert exported.int8.method == "dynamic, embeddings and linear layers"
    assert exported.int8.kept
    held = onnx.load(tmp_path / "model-int8.onnx").graph.initializer
    table = [each for each in held if each.name == "network.bag.table.weight_quantized"]
    assert [each.data_type for each in table] == [onnx.TensorProto.UINT8]
    decided = int8.decided
    monkeypatch.setattr(
        int8, "decided", lambda found, drop: replace(decided(found, drop), kept=False)
    )
    refused = mentee.export(run, data=data, int8=True, max_drop=100.0, out=tmp_path)
    assert "float is kept" in str(refused.int8)
    assert not (tmp_path / "model-int8.onnx").exists()
    assert refused.path.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "pt2"}, "int8 is of onnx, and the format is pt2"),
        ({"max_drop": -0.1}, r"may lose 0 points or more \(max_drop\); got -0\.1"),
    ],
)
def test_an_option_that_is_wrong_is_one_sentence(run_of, tmp_path, options, message):
    with pytest.raises(MenteeError, match=message):
        mentee.export(run_of("digits")[0], int8=True, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_is_missing_or_of_another_kind_is_one_sentence(run_of, tmp_path, monkeypatch):
    run, _ = run_of("audio")
    pixels = {"image": np.zeros((64, 8, 8, 3), np.uint8), "label": np.arange(64) % 4}
    with pytest.raises(MenteeError) as refused:
        mentee.export(run, int8=True, data=pixels, out=tmp_path / "out")
    assert "\n" not in str(refused.value)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MenteeError, match=r"onnxruntime.*pip install 'mentee\[export\]'"):
        mentee.export(run_of("digits")[0], int8=True, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_onnxruntime_cannot_quantize_is_one_sentence(float_file, monkeypatch):
    student, data, folder, part = float_file("digits")

    def fail(*args):
        raise ValueError("no ranges\nof it")

    monkeypatch.setattr(int8, "static", fail)
    message = r"cannot quantize \w+ \(ValueError: no ranges.*\); export without --int8"
    with pytest.raises(MenteeError, match=message):
        quantize(student, data, folder, part, 0.5)
    assert [each.name for each in folder.iterdir()] == ["model.onnx"]
