"""A network that was trained is fed as it was trained, and one line says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

import mentee
from mentee import models
from mentee.errors import MenteeError
from mentee.models import InputContract, normalize
from mentee.recipe import read
from tests.conftest import digits

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
DATA = {"image": IMAGES, "label": [i % 4 for i in range(40)]}


def recipe_of(**parts: Any) -> dict[str, Any]:
    return {
        "data": {"source": "mine", "test": None, "views": "none"},
        "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 16]}},
        "train": {"epochs": 1, "batch": 16},
        **parts,
    }


def run(out: Path, **parts: Any) -> tuple[Any, list[str]]:
    """The resolved recipe and the lines on networks of a run of one epoch."""
    passed = {name: parts.pop(name) for name in ("teacher", "student") if callable(parts.get(name))}
    mentee.train(recipe_of(**parts), data=DATA, out=out, quiet=True, **passed)
    facts = json.loads((out / "environment.json").read_text())
    return read(out / "recipe.yaml"), facts["network_notes"]


def small(mean: Any = HALF[0], std: Any = HALF[1], size: int = 64) -> nn.Module:
    """A module that says how it was trained, as timm's do."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    network.pretrained_cfg = {  # type: ignore[assignment]
        "mean": mean, "std": std, "input_size": (3, size, size), "interpolation": "bicubic",
    }  # fmt: skip
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "resnet10t.pt"
    torch.save(timm.create_model("resnet10t", num_classes=4).state_dict(), path)
    return str(path)


TEACHERS: dict[str, tuple[Callable[[str], Any], Any, str]] = {
    "timm with a file": (
        lambda file: {"network": "timm:resnet10t", "weights": file}, IMAGENET,
        "teacher timm:resnet10t: images are normalized by mean 0.485, 0.456, 0.406, std 0.229, "
        "0.224, 0.225, as timm says; it reads 8×8. Warning: by timm it was trained with 176×176 "
        "(bicubic): if its scores are poor, set teacher.size: 176",
    ),
    "a module": (lambda file: small(), HALF, "teacher given:Sequential: images are normalized by "
                 "mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5, as its pretrained_cfg says; it reads 8×8"),
    "timm's own module": (lambda file: timm.create_model("resnet10t", num_classes=4), IMAGENET,
                          "as its pretrained_cfg says"),
    "a function": (lambda file: lambda classes: small(), HALF, "as its pretrained_cfg says"),
    "the recipe's input": (
        lambda file: {"network": "timm:resnet10t", "weights": file, "input": "none", "size": 16},
        ([0.0], [1.0]), "std 1, as the recipe says; it reads 16×16 (resized by bilinear, antialia"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEACHERS)
def test_a_teacher_is_fed_as_it_was_trained(case: str, weights: str, tmp_path: Path) -> None:
    make, (mean, std), line = TEACHERS[case]
    recipe, notes = run(tmp_path / "run", teacher=make(weights), method="kd")
    assert (recipe.teacher.input.mean, recipe.teacher.input.std) == (mean, std)
    assert line in notes[0]
    assert "Note: teacher" in (tmp_path / "run" / "report.md").read_text()


STUDENTS: dict[str, tuple[Callable[[str], Any], Any]] = {
    "timm from scratch": (lambda file: {"network": "timm:resnet10t"}, None),
    "timm with a file": (lambda file: {"network": "timm:resnet10t", "weights": file}, IMAGENET),
    "a module": (lambda file: small(), HALF),
    "a function": (lambda file: lambda classes: small(*IMAGENET), IMAGENET),
    "a module that says nothing": (lambda file: nn.Sequential(nn.Flatten(), nn.Linear(192, 4)),
                                   None),
}  # fmt: skip


@pytest.mark.parametrize("case", STUDENTS)
def test_a_student_with_trained_weights_too(case: str, weights: str, tmp_path: Path) -> None:
    make, expected = STUDENTS[case]
    recipe, notes = run(tmp_path / "run", student=make(weights))
    if expected is None:
        assert recipe.student.input.mean == pytest.approx([0.5] * 3, abs=0.02)
        assert recipe.student.input.std == pytest.approx([0.29] * 3, abs=0.02)
        assert notes == []
    else:
        assert (recipe.student.input.mean, recipe.student.input.std) == expected
        assert len(notes) == 1


def test_several_teachers_have_a_line_each(weights: str, tmp_path: Path) -> None:
    several = {"a": small(), "b": [small(*IMAGENET), small()]}
    run_ = mentee.train(
        recipe_of(method="kd"), data=DATA, teacher=several, out=tmp_path / "run", quiet=True
    )
    facts = json.loads((run_.path / "environment.json").read_text())
    keys = [line.partition(" ")[0] for line in facts["network_notes"]]
    assert keys == ["teacher.teachers.a", "teacher.teachers.b", "teacher.teachers.b"]
    teachers = read(run_.path / "recipe.yaml").teacher.teachers
    assert [each.input.mean for each in teachers["b"].networks] == [IMAGENET[0], HALF[0]]


def test_gray_images_take_the_mean_over_the_channels(weights: str, tmp_path: Path) -> None:
    recipe = digits(method="kd", train={"epochs": 1, "batch": 32}, data={"limit": 64, "test": None})
    network = timm.create_model("resnet10t", num_classes=10, in_chans=1)
    mentee.train(recipe, teacher=network, out=tmp_path / "run", quiet=True)
    teacher = read(tmp_path / "run" / "recipe.yaml").teacher
    assert teacher.input.mean == pytest.approx([0.449])
    assert teacher.input.std == pytest.approx([0.226])


def test_weights_of_a_run_are_read_as_that_run_read(tmp_path: Path) -> None:
    first = mentee.train(
        recipe_of(student={"network": "resnet8-cifar", "input": "cifar10", "size": 16,
                           "interpolation": "bicubic"}),
        data=DATA, out=tmp_path / "teacher", quiet=True,
    )  # fmt: skip
    teacher = {"network": "resnet8-cifar", "weights": str(first.path / "student.safetensors")}
    recipe, notes = run(tmp_path / "run", teacher=teacher, method="kd")
    was = read(first.path / "recipe.yaml").student
    assert (recipe.teacher.input, recipe.teacher.size) == (was.input, 16)
    assert recipe.teacher.interpolation == "bicubic"
    assert f"as the run {first.path} says; it reads 16×16 (resized by bicubic" in notes[0]


def test_the_teachers_scores_are_those_of_its_own_input(tmp_path: Path) -> None:
    # Classes by brightness: read with another mean, all of them look alike.
    levels = np.asarray([40, 90, 140, 190], np.uint8)
    noise = np.random.default_rng(1).integers(0, 20, (80, 8, 8, 3), dtype=np.uint8)
    data = {"image": levels[np.arange(80) % 4][:, None, None, None] + noise,
            "label": [i % 4 for i in range(80)]}  # fmt: skip
    network = small(mean=[0.1] * 3, std=[2.0] * 3)
    centers = torch.as_tensor((levels + 9.5) / 255 - 0.1).float() / 2.0
    with torch.no_grad():  # the nearest center: 2 c x - c²
        network[1].weight.copy_((2000 * centers / 192)[:, None].expand(4, 192))
        network[1].bias.copy_(-1000 * centers**2)
    recipe = recipe_of(method="kd")
    result = mentee.train(recipe, data=data, teacher=network, out=tmp_path / "run", quiet=True)
    assert result.summary["teacher"]["scores"]["accuracy"] == 1.0


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_interpolation(how: str) -> None:
    x = torch.rand(2, 3, 8, 8)
    expected = F.interpolate(x, (20, 20), mode=how, antialias=True).clamp(0, 1)
    contract = InputContract((0.0,), (1.0,), resize=20, interpolation=how)
    assert torch.equal(normalize(x, contract), expected)


@pytest.mark.parametrize(
    ("tag", "message"),
    [("IMAGENET1K_V1", None), ("IMAGENET1K_V9", "torchvision has no weights 'IMAGENET1K_V9'")],
)
def test_torchvisions_weights_by_name(tag: str, message: str | None) -> None:
    if message is None:
        contract = models.contract_of("torchvision:resnet18", tag)
        assert contract == InputContract(tuple(IMAGENET[0]), tuple(IMAGENET[1]), (224, 224))
    else:
        with pytest.raises(MenteeError, match=message):
            models.contract_of("torchvision:resnet18", tag)
