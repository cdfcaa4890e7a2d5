"""What a page shows of examples and layers: it is what the run's own scores say."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mentee import sweep, train
from mentee.data import open_examples
from mentee.errors import MenteeError, RunError
from mentee.evaluation.diagnostics import SIDE, TEXT, shown
from mentee.evaluation.evaluator import write_report
from mentee.experiments.pages import write_page
from tests.conftest import digits


@pytest.fixture(scope="module")
def taught_run(teacher: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("taught") / "run"
    return train(digits(teacher=teacher, method="kd"), out=out, quiet=True)


def diagnostics(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "diagnostics.json").read_text())
    return content


def test_confused_classes_and_their_examples_are_those_of_the_scores(taught_run: Any) -> None:
    content = diagnostics(taught_run.path)
    details = taught_run.summary["details"]["test"]
    names = list(details["classes"])
    counts = [pair["count"] for pair in content["confused"]]
    assert counts == sorted(counts, reverse=True)
    off = [n for i, row in enumerate(details["confusion"]) for j, n in enumerate(row) if i != j]
    assert counts[0] == max(off)
    test = open_examples("embedded:digits", split="test")
    with np.load(taught_run.path / "predictions.npz") as saved:
        predicted = dict(zip(saved["ids"], saved["classes"], strict=True))
        sure = dict(zip(saved["ids"], saved["confidence"], strict=True))
    for pair in content["confused"]:
        true, wrong = names.index(pair["true"]), names.index(pair["predicted"])
        assert details["confusion"][true][wrong] == pair["count"]
        assert sum(details["confusion"][true]) == pair["of"]
        assert len(pair["examples"]) == min(pair["count"], 4)
        for each in pair["examples"]:
            row = test.ids.index(each["id"])
            assert test.labels is not None
            assert test.labels[row] == true
            assert predicted[each["id"]] == wrong
            assert each["confidence"] == pytest.approx(float(sure[each["id"]]), abs=1e-3)
            pixels = Image.open(io.BytesIO(base64.b64decode(each["image"].partition(",")[2])))
            assert np.array_equal(pixels, test.read(np.array([row]))[0].squeeze(2))


def test_the_bins_are_those_of_the_calibration_error(taught_run: Any) -> None:
    bins = diagnostics(taught_run.path)["reliability"]
    n = sum(each["examples"] for each in bins)
    assert n == taught_run.summary["details"]["test"]["examples"]
    error = sum(each["examples"] * abs(each["accuracy"] - each["confidence"]) for each in bins) / n
    assert error == pytest.approx(taught_run.summary["test"]["ece"], abs=1e-5)


def test_layers_are_compared_with_those_of_the_teacher(taught_run: Any) -> None:
    layers = diagnostics(taught_run.path)["layers"]
    names = ["stem", "stages.0", "stages.1", "stages.2", "embedding", "logits"]
    assert layers["student"] == layers["teachers"][""]["layers"] == names
    cka = np.array(layers["teachers"][""]["cka"])
    assert cka.shape == (6, 6)
    assert cka.min() > -0.2
    assert 0.2 < cka[-1, -1] <= cka.max() <= 1


def test_a_page_is_written_again_from_its_files_and_without_examples_where_they_are_deleted(
    taught_run: Any,
) -> None:
    page = taught_run.path / "report.html"
    before = page.read_text()
    assert write_page(taught_run.path) == page
    assert page.read_text() == before
    assert "data:image/png" in before
    saved = (taught_run.path / "diagnostics.json").read_text()
    (taught_run.path / "diagnostics.json").unlink()
    write_report(taught_run.path)
    assert "data:image" not in page.read_text()
    (taught_run.path / "diagnostics.json").write_text("{")
    with pytest.raises(RunError, match="delete it, and the page is written without it"):
        write_report(taught_run.path)
    (taught_run.path / "diagnostics.json").write_text(saved)


def test_runs_without_labels_or_a_network_as_teacher_have_less(tmp_path: Path) -> None:
    run = train(digits(train={"epochs": 1}), out=tmp_path / "alone", quiet=True)
    assert set(diagnostics(run.path)) == {"part", "reliability", "confused"}
    assert "Similarity of layers" not in (run.path / "report.html").read_text()


def test_a_sweep_has_a_page_and_its_runs_know_scratch(
    tmp_path: Path, taught: Callable[..., dict[str, Any]]
) -> None:
    recipe = taught(train={"epochs": 1}, data={"limit": 64})
    sweep(recipe, ["none", "kd"], seeds=1, processes=1, out=tmp_path / "s", live=True, say=str)
    run = tmp_path / "s" / "resnet8-cifar-kd-seed0"
    write_page(run)
    scratch = json.loads((tmp_path / "s" / "resnet8-cifar-none-seed0" / "summary.json").read_text())
    text = (run / "report.html").read_text()
    assert f"scratch {scratch['test']['accuracy']:.4f}, same seed" in text
    page = tmp_path / "s" / "sweep.html"
    before = page.read_text()
    assert "There is no verdict yet." in before
    assert "2 of 2" in before
    page.unlink()
    assert write_page(tmp_path / "s") == page
    assert page.read_text() == before


def test_a_folder_of_nothing_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(MenteeError, match="is no run"):
        write_page(tmp_path)


def test_large_images_become_small_and_long_texts_are_cut() -> None:
    draw = torch.randint(256, (300, 150, 3), generator=torch.Generator().manual_seed(0))
    url = shown(draw.to(torch.uint8))["image"]
    assert url.startswith("data:image/jpeg;base64,")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert image.size == (SIDE // 2, SIDE)
    assert shown("b" * 1000) == {"text": "b" * (TEXT - 1) + "…"}
    assert shown(torch.zeros(16000)) == {}
