"""Exported files: their outputs, their content, and what is not written."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import mentee
from mentee import models
from mentee.data.image_views import one_size
from mentee.errors import MenteeError, RunError
from mentee.exporting import exporter, pt2_format
from mentee.exporting.graph import cropped
from mentee.recipe import read

PIXELS = np.round(load_digits().images[-40:, None] * 255 / 16).astype(np.uint8)


def logits(run: Path, pixels: Any) -> Any:
    """What a run's student gives, by its recipe and weights alone."""
    recipe = read(run / "recipe.yaml")
    network = models.build("resnet8-cifar", classes=10, channels=1, widths=(8, 16, 32)).eval()
    models.load_weights(network, run / "student.safetensors")
    (mean,), (std,) = recipe.student.input.mean, recipe.student.input.std
    with torch.no_grad():
        return network(torch.from_numpy((pixels / 255 - mean) / std).float()).numpy()


def test_onnx_reads_bytes_and_gives_the_students_logits(run_of, digits_onnx):
    session = onnxruntime.InferenceSession(digits_onnx, providers=["CPUExecutionProvider"])
    (reads,) = session.get_inputs()
    assert (reads.shape, reads.type) == (["batch", 1, 8, 8], "tensor(uint8)")
    expected = logits(run_of("digits")[0], PIXELS)
    assert np.ptp(expected) > 1
    for some in (slice(0, 1), slice(0, 40)):
        (outputs,) = session.run(["logits"], {"input": PIXELS[some]})
        np.testing.assert_allclose(outputs, expected[some], atol=1e-4)


def test_pt2_of_floats_is_read_by_torch_alone(run_of, tmp_path):
    run, _ = run_of("digits")
    exported = mentee.export(run, format="pt2", dtype="float32", out=tmp_path)
    np.save(tmp_path / "x.npy", (PIXELS / 255).astype(np.float32))
    code = (
        "import sys; sys.modules['mentee'] = None\n"
        "import numpy, torch\n"
        "student = torch.export.load('model.pt2').module()\n"
        "x = torch.from_numpy(numpy.load('x.npy'))\n"
        "numpy.save('y.npy', student(x).detach().numpy())\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), logits(run, PIXELS), atol=1e-4)
    assert exported.parity.agreement == 1
    assert exported.parity.score == exported.parity.file_score


def test_the_file_says_what_it_is(run_of, digits_onnx):
    run, _ = run_of("digits")
    content = onnx.load(digits_onnx)
    assert [each.version for each in content.opset_import if each.domain == ""] == [18]
    about = json.loads({each.key: each.value for each in content.metadata_props}["mentee"])
    assert about["names"] == [str(digit) for digit in range(10)]
    assert about["shape"] == [1, 8, 8]
    assert about["inside"]["mean"] == read(run / "recipe.yaml").student.input.mean
    summary = json.loads((run / "summary.json").read_text())
    assert about["about"]["score"]["test"] == summary["test"]["accuracy"]
    assert about["about"]["run"] == run.name


def test_neither_heads_nor_teacher_nor_paths_are_in_a_file(taught, tmp_path):
    run = mentee.train(taught(train={"epochs": 1}), out=tmp_path / "run", quiet=True)
    assert run.summary["parameters"]["heads"] > 0
    weights = load_file(run.path / "student.safetensors")
    size = sum(each.numel() for each in weights.values())
    for format in ("onnx", "pt2"):
        path = mentee.export(run.path, format=format).path
        assert str(Path(mentee.__file__).parent).encode() not in path.read_bytes()
        if format == "onnx":
            held = [list(each.dims) for each in onnx.load(path).graph.initializer]
            assert sum(map(np.prod, held)) <= size + 100
        else:
            state = torch.export.load(path).state_dict
            assert {name.removeprefix("network.") for name in state} - {"mean", "std"} == {*weights}


@pytest.mark.parametrize("name", ["several labels", "regression", "audio", "text"])
@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_every_task_and_kind_of_input(run_of, exported_of, name, format):
    exported = exported_of(name, format)
    parity = exported.parity
    assert parity.examples == len(run_of(name)[1]["label"]) // 2
    assert parity.difference < 1e-4 * max(1, parity.largest)
    assert parity.score is not None
    assert parity.score[1] == pytest.approx(parity.file_score[1], abs=1e-5)
    assert exported.signature.output == ("values" if name == "regression" else "logits")
    if name == "regression":
        assert 20 < parity.largest < 90  # in the units of the labels
    else:
        assert parity.agreement == 1


def test_images_of_any_size_are_resized_inside(run_of, exported_of, tmp_path):
    run, data = run_of("timm")
    exported = mentee.export(run, data=data, format="pt2", resize=True, out=tmp_path)
    assert exported.signature.shape == (3, None, None)
    assert exported.parity.difference < 1e-5
    assert exported.parity.resized < 0.05
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((40, 61), (32, 32), (9, 20))]
    inside, before = mentee.load(exported.path), mentee.load(exported_of("timm", "pt2").path)
    np.testing.assert_allclose(inside.outputs(pixels), before.outputs(pixels), atol=0.02)
    with pytest.raises(MenteeError, match=r"a recipe with data\.size"):
        mentee.export(run_of("digits")[0], format="pt2", resize=True, out=tmp_path)


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(40, 61), (70, 33), (32, 32), (9, 20), (300, 200)])
def test_an_image_is_resized_inside_as_by_the_views(shape, how):
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 256, (1, *shape, 3), np.uint8))
    for margin in (1.0, 8 / 7):
        inside = cropped(image.permute(0, 3, 1, 2), 32, margin, how)
        by_views = one_size(image, 32, how, margin=margin).permute(0, 3, 1, 2)
        assert (inside.int() - by_views.int()).abs().max() <= 1


def test_without_labels_the_embedding_is_exported(tmp_path):
    from tests.exporting.conftest import SMALL, images, recipe

    content = recipe({**SMALL, "classes": 5}, data={"label": False, "validation": None})
    teacher = models.build("resnet8-cifar", classes=5, seed=0, widths=(4, 4, 4))
    content |= {"method": "rkd", "teacher": {"network": "resnet8-cifar", "classes": 5}}
    data = {"image": images()}
    run = mentee.train(content, data=data, teacher=teacher, out=tmp_path / "run", quiet=True)
    exported = mentee.export(run.path, data=data, format="pt2")
    assert exported.signature.output == "embedding"
    assert exported.parity.score is None
    (answer,) = mentee.load(exported.path)(images()[0])
    assert len(answer["embedding"]) == 8
    own = mentee.load(run.path).outputs([images()[0]])[0]
    np.testing.assert_allclose(answer["embedding"], own, atol=1e-5)


def test_a_file_that_differs_is_not_written(run_of, tmp_path, monkeypatch):
    run, _ = run_of("digits")
    graph = pt2_format.graph

    def darker(student):
        student.module.mean.fill_(0.5)
        return graph(student)

    monkeypatch.setattr(pt2_format, "graph", darker)
    with pytest.raises(
        RunError, match=r"differs from the student by more than 0\.0001.*validation"
    ):
        mentee.export(run, format="pt2", out=tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["onnx", "pt2", "safetensors"])
def test_the_first_layer_that_differs_is_named(run_of, tmp_path, monkeypatch, format):
    """A file of another network, whose second block has another weight, than the one compared."""
    run, _ = run_of("digits")
    to = exporter.FORMATS[format]
    write = to.write

    def broken(student, folder, **options):
        other = deepcopy(student)
        with torch.no_grad():
            other.network.layer2[0].bn2.bias += 0.5
        write(other, folder, **options)

    monkeypatch.setattr(to, "write", broken)
    with pytest.raises(
        RunError,
        match=r"the first layer that differs is layer2\.0\.bn2 \(BatchNorm2d\), by 0\.5 of .*; the "
        r"last before it that does not is layer2\.0\.(relu1|conv2)",
    ):
        mentee.export(run, format=format, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_difference_before_the_first_layer_and_after_the_last(run_of, tmp_path, monkeypatch):
    run, _ = run_of("digits")
    write = pt2_format.write
    for name, message in (
        ("mean", r"the first layer that differs is conv1 .* does not is its input"),
        ("scale", r"no layer alone differs; the difference comes after fc"),
    ):

        def broken(student, folder, name=name):
            other = deepcopy(student)
            other.module.has_units = name == "scale"
            getattr(other.module, name).data = torch.full((1,), 0.9)
            other.module.shift.data = torch.zeros(1)
            write(other, folder)

        monkeypatch.setattr(pt2_format, "write", broken)
        with pytest.raises(RunError, match=message):
            mentee.export(run, format="pt2", out=tmp_path)


def test_an_older_file_stays_where_the_new_one_differs(run_of, tmp_path, monkeypatch):
    run, _ = run_of("digits")
    (tmp_path / "model.pt2").write_text("older")
    monkeypatch.setattr("mentee.exporting.exporter.refuse", None)  # after the file is written
    with pytest.raises(TypeError):
        mentee.export(run, format="pt2", out=tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt2"]
    assert (tmp_path / "model.pt2").read_text() == "older"


def test_what_a_killed_export_left_is_removed(run_of, tmp_path):
    (tmp_path / ".killed.tmp").mkdir()
    (tmp_path / ".killed.tmp" / "model.pt2").write_bytes(b"half")
    mentee.export(run_of("digits")[0], format="pt2", out=tmp_path)
    names = {each.name for each in tmp_path.iterdir()}
    assert names
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 99}, r"opset 99 cannot be written: torch and onnx .* write 18 to \d+"),
        ({"opset": 7}, "opset 7 cannot be written"),
        ({"format": "pt2", "opset": 18}, "opset is of onnx"),
        ({"format": "tflite"}, r"no format 'tflite': .*onnx"),
        ({"output": "logit"}, r"no output 'logit'.*'logits'"),
        ({"dtype": "int8"}, r"no dtype 'int8'.*uint8"),
        ({"tolerance": 0.0}, "a tolerance above 0"),
        ({"examples": 0}, "at least 1 example"),
    ],
)
def test_an_option_that_is_wrong_is_one_sentence(run_of, tmp_path, options, message):
    with pytest.raises(MenteeError, match=message):
        mentee.export(run_of("digits")[0], out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_newer_opset_is_written(run_of, tmp_path):
    path = mentee.export(run_of("digits")[0], out=tmp_path, opset=20).path
    assert [each.version for each in onnx.load(path).opset_import if each.domain == ""] == [20]


def test_a_run_without_a_student_is_refused(run_of, tmp_path):
    run, _ = run_of("digits")
    (tmp_path / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    with pytest.raises(RunError, match=r"has no student\.safetensors: the run is not finished"):
        mentee.export(tmp_path)
    with pytest.raises(RunError, match="is no run"):
        mentee.export(tmp_path / "nowhere")
    assert [each.name for each in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(run_of, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("mentee.exporting.exporter.held_out", None)
    with pytest.raises(RunError, match=r"cannot write .*a part of that path is a file"):
        mentee.export(run_of("digits")[0], out=tmp_path / "file" / "folder")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(run_of, monkeypatch, package, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MenteeError, match=rf"{package}.*pip install 'mentee\[export\]'"):
        mentee.export(run_of("digits")[0], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_that_was_passed_has_to_be_passed_again(run_of):
    with pytest.raises(RunError, match="which was passed from Python; pass it again"):
        mentee.export(run_of("audio")[0])
