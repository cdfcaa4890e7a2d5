"""Images are resized as the recipe says, else as the teacher was trained; a record keeps how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mentee
from mentee.data.image_views import one_size
from mentee.errors import RecipeError
from mentee.recipe import read
from tests.conftest import digits

CONFIG = {"mean": (0.4,), "std": (0.3,), "input_size": (1, 12, 12), "interpolation": "bicubic"}


class Carries(nn.Module):
    """A network that says how it was trained, as timm's do."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU())
        self.fc = nn.Linear(8, 10)
        if config:
            self.pretrained_cfg = config

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.fc(self.body(x).mean((2, 3)))
        return result


def recipe(**data: Any) -> dict[str, Any]:
    train = {"epochs": 1, "batch": 32}
    return digits(method="kd", data={"limit": 64, "size": 12, **data}, train=train)


def notes(run: mentee.Run) -> str:
    return "\n".join(json.loads((run.path / "environment.json").read_text())["network_notes"])


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_images_are_resized_as_pillow_does(how: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    got = one_size([torch.from_numpy(pixels)], 20, how)[0]
    filter = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[how]
    wanted = np.asarray(Image.fromarray(pixels).resize((30, 20), filter))[:, 5:25]
    assert np.abs(got.numpy().astype(int) - wanted.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("config", "data", "input", "expected", "reason"),
    [
        (CONFIG, {}, None, "bicubic", "as its pretrained_cfg says"),
        (CONFIG, {"interpolation": "bilinear"}, None, "bilinear", "as data.interpolation says"),
        (CONFIG, {}, {"mean": [0.4], "std": [0.3]}, "bilinear", "the default"),
        (None, {}, None, "bilinear", "the default"),
        (None, {"interpolation": "bicubic"}, None, "bicubic", "as data.interpolation says"),
    ],
)
def test_the_teachers_own_interpolation_is_the_default(
    config: Any, data: Any, input: Any, expected: str, reason: str, tmp_path: Path
) -> None:
    teacher = {"network": "given:Carries", "input": input} if input else None
    content = {**recipe(**data), **({"teacher": teacher} if teacher else {})}
    run = mentee.train(content, teacher=Carries(config), out=tmp_path / "run", quiet=True)
    line = f"images are resized to 12×12 by {expected} interpolation, antialiased, {reason}"
    assert line in notes(run)
    assert line in (run.path / "report.md").read_text()
    resolved = read(run.path / "recipe.yaml")
    assert resolved.data.interpolation == expected
    again = mentee.resume(run.path, teacher=Carries(config), quiet=True)
    assert again.summary["test"] == run.summary["test"]


def test_without_a_size_nothing_is_resized(tmp_path: Path) -> None:
    content = recipe(size=None)
    run = mentee.train(content, teacher=Carries(CONFIG), out=tmp_path / "run", quiet=True)
    assert read(run.path / "recipe.yaml").data.interpolation is None
    assert "by bicubic interpolation, antialiased, as" not in notes(run)


def test_a_record_is_read_with_the_interpolation_of_its_views(tmp_path: Path) -> None:
    record, options = tmp_path / "record", {"views": 1, "say": lambda line: None}
    mentee.record_network(recipe(), record, teacher=Carries(CONFIG), **options)
    manifest = json.loads((record / "train" / "manifest.json").read_text())
    assert manifest["views"]["interpolation"] == "bicubic"
    recorded = {**recipe(), "teacher": {"record": str(record)}}
    run = mentee.train(recorded, out=tmp_path / "run", quiet=True)
    assert read(run.path / "recipe.yaml").data.interpolation == "bicubic"
    other = {**recorded, "data": {**recorded["data"], "interpolation": "bilinear"}}
    text = r"was made of other views \(interpolation: bicubic there, None here\)"
    with pytest.raises(RecipeError, match=text):
        mentee.train(other, out=tmp_path / "c", quiet=True)
    mentee.record_network(recipe(), record, teacher=Carries(CONFIG), **{**options, "views": 2})
    mentee.record_network(recipe(), tmp_path / "plain", teacher=Carries(), **options)
    manifest = json.loads((tmp_path / "plain" / "train" / "manifest.json").read_text())
    assert "interpolation" not in manifest["views"]
