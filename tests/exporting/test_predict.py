"""Predictions of a run and of its files: the same, from whatever an input comes as."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from sklearn.datasets import load_digits

import mentee
from mentee.errors import MenteeError, RunError

PIXELS = np.round(load_digits().images[-8:] * 255 / 16).astype(np.uint8)


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(len(PIXELS))]
    for path, pixels in zip(paths, PIXELS, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def test_a_run_and_its_file_predict_the_same_of_everything(run_of, digits_onnx, pictures):
    of_run, of_file = mentee.load(run_of("digits")[0]), mentee.load(digits_onnx)
    expected = of_run.outputs(list(PIXELS))
    assert np.ptp(expected) > 1
    for inputs in (
        pictures,
        [str(path) for path in pictures],
        [Image.open(path) for path in pictures],
        list(PIXELS),
        list(torch.from_numpy(PIXELS)),
        [each[..., None] for each in PIXELS],
    ):
        np.testing.assert_allclose(of_file.outputs(inputs), expected, atol=1e-4)
    first = of_file(pictures[0])[0]
    p = np.exp(expected[0]) / np.exp(expected[0]).sum()
    assert first["class"] == str(p.argmax())
    assert first["probability"] == pytest.approx(p.max(), abs=1e-5)
    assert list(first["probabilities"]) == [str(digit) for digit in range(10)]


def test_a_larger_image_is_resized_as_by_the_views(run_of, digits_onnx, tmp_path):
    large = Image.fromarray(PIXELS[0]).resize((24, 16), Image.Resampling.BICUBIC)
    from mentee.data.image_views import one_size

    by_views = one_size(torch.from_numpy(np.asarray(large)[None, ..., None].copy()), 8)
    predictor = mentee.load(digits_onnx)
    expected = predictor.outputs([by_views[0].numpy()])
    np.testing.assert_allclose(predictor.outputs([large]), expected, atol=1e-5)


def test_the_file_is_run_without_mentee_and_torch(run_of, digits_onnx, pictures):
    names = [str(path) for path in pictures]
    code = (
        "import sys, runpy; sys.modules['mentee'] = sys.modules['torch'] = None\n"
        f"sys.argv = ['predict.py', *{names!r}]\n"
        f"runpy.run_path({str(digits_onnx.with_name('predict.py'))!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row, expected in zip(rows, mentee.load(digits_onnx)(pictures), strict=True):
        assert row["class"] == expected["class"]
        assert row["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)


@pytest.mark.parametrize("name", ["audio", "text", "several labels", "regression"])
def test_each_kind_and_task_without_mentee(run_of, exported_of, tmp_path, name):
    _, data = run_of(name)
    path = exported_of(name, "onnx").path
    predictor = mentee.load(path)
    if name == "audio":
        files = [tmp_path / f"{i}.wav" for i in range(3)]
        for file, clip in zip(files, data["audio"], strict=False):
            soundfile.write(file, clip[: 1500 if file.name == "2.wav" else None], 8000)
        passed = [*data["audio"][:2], data["audio"][2][:1500]]
        np.testing.assert_allclose(predictor.outputs(passed), predictor.outputs(files), atol=1e-2)
    elif name == "text":
        files = ["Great, fine", "dreadful \N{SNOWMAN} and much too long to be read", ""]
    else:
        files = [tmp_path / "a.png", tmp_path / "b.png"]
        for file, pixels in zip(files, data["image"], strict=False):
            Image.fromarray(pixels).save(file)
    command = [sys.executable, path.with_name("predict.py"), *files]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    for line, expected in zip(done.stdout.splitlines(), predictor(files), strict=True):
        row = json.loads(line)
        key = "values" if name == "regression" else "probabilities"
        assert row[key] == pytest.approx(expected[key], rel=1e-5)
        if name == "several labels":
            above = [n for n, p in expected["probabilities"].items() if p > 0.4]
            assert expected["classes"] == above


def test_texts_and_regression_of_a_run(run_of):
    text = mentee.load(run_of("text")[0])
    assert [each["class"] for each in text(["great", "awful poor"])] == ["good", "bad"]
    run, data = run_of("regression")
    values = mentee.load(run)(data["image"][0])[0]["values"]
    assert list(values) == ["length", "width"]
    assert 20 < values["length"] < 80


def test_the_command_writes_csv_and_json(digits_onnx, pictures, mentee):
    status, out, _ = mentee("predict", digits_onnx, *pictures)
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["input"] for row in rows] == [str(path) for path in pictures]
    status, out, _ = mentee("predict", digits_onnx, *pictures, "--format", "json")
    assert [each["class"] for each in json.loads(out)] == [row["class"] for row in rows]


@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_a_damaged_file_is_one_sentence(exported_of, tmp_path, mentee, ending):
    whole = exported_of("digits", ending[1:]).path
    for share in (0.0, 0.5, 0.99):
        path = tmp_path / f"cut{ending}"
        path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        status, out, err = mentee("predict", path, "a.png")
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert "cannot read" in err or "does not say" in err


def test_a_file_of_someone_else_is_refused(tmp_path):
    import onnx

    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    sides = [onnx.helper.make_tensor_value_info(n, 1, [None, 3]) for n in "xy"]
    graph = onnx.helper.make_graph([node], "g", sides[:1], sides[1:])
    opsets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(RunError, match="does not say what it reads and gives"):
        mentee.load(tmp_path / "a.onnx")


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pt2_file_runs_no_code(exported_of, tmp_path):
    path = tmp_path / "model.pt2"
    path.write_bytes(exported_of("digits", "pt2").path.read_bytes())
    harm = tmp_path / "harm"

    def changed(name, change):
        bad = tmp_path / "bad.pt2"
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(bad, "w", zipfile.ZIP_STORED) as new:
            for each in old.namelist():
                content = old.read(each)
                new.writestr(each, change(content) if each.endswith(name) else content)
        with pytest.raises(RunError) as error:
            mentee.load(bad)
        assert not harm.exists()
        return str(error.value)

    def pickled(content):
        out = io.BytesIO()
        torch.save(Harm(harm), out)
        return out.getvalue()

    assert "cannot read" in changed("sample_inputs/model.pt", pickled)
    symbol = b"Symbol('s77', positive=True, integer=True)"
    assert symbol in zipfile.ZipFile(path).read("model/models/model.json")
    code = f"__import__('os').mkdir('{harm}')".encode()
    assert "could run code" in changed("model.json", lambda text: text.replace(symbol, code))
    call = b"torch.ops.aten.relu.default"
    other = b"torch.serialization.os.mkdir"
    assert "could run code" in changed("model.json", lambda text: text.replace(call, other))
    flag = (b'"use_pickle": false', b'"use_pickle": true')
    assert "use_pickle" in changed("weights_config.json", lambda text: text.replace(*flag))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/data/aotinductor/model/a.so", pickle.dumps(Harm(harm)))
    with pytest.raises(RunError, match=r"more than tensors and a graph.*a\.so"):
        mentee.load(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (PIXELS[0].astype(np.float32), r"is float32 of shape \[8, 8\]; expected uint8 \[h, w\]"),
        (np.zeros((8, 8, 3), np.uint8), r"of shape \[8, 8, 3\]"),
        ("nowhere.png", "No such file"),
        (__file__, "it is no image"),
    ],
)
def test_an_input_that_is_wrong_is_one_sentence(digits_onnx, value, message):
    with pytest.raises((MenteeError, OSError), match=message):
        mentee.load(digits_onnx)([value])


@pytest.mark.parametrize("name", ["model.onnx", "model.h5", "runs/none"])
def test_a_student_that_is_not_there(tmp_path, name):
    with pytest.raises(MenteeError, match=r"there is no file|is no student"):
        mentee.load(tmp_path / name)


def test_onnxruntime_is_needed_for_onnx(digits_onnx, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MenteeError, match=r"onnxruntime.*pip install 'mentee\[predict\]'"):
        mentee.load(digits_onnx)
