"""Narrow 1×1 convolutions with a stride, whose backward pass is wrong on a CPU in channels-last."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.processes import ended, start
from torch import nn

from mentee.models.pointwise import StridedPointwise, replace_strided_pointwise


@pytest.mark.parametrize("stride", [2, (1, 3)])
@pytest.mark.parametrize("side", [8, 33, 34])
def test_the_numbers_are_those_of_a_stride(stride: int | tuple[int, int], side: int) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(5, 7, 1, stride)
    other = copy.deepcopy(plain)
    replace_strided_pointwise(other)
    assert type(other) is StridedPointwise
    assert other.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(2, 5, side, side, requires_grad=True)
    y, z = plain(x), copy.deepcopy(other)(x)
    torch.testing.assert_close(z, y)
    weights = torch.randn_like(y)
    expected, found = (torch.autograd.grad((e * weights).sum(), x)[0] for e in (y, z))
    torch.testing.assert_close(found, expected)


def test_all_others_stay_as_they_are() -> None:
    class Own(nn.Conv2d):
        pass

    others = nn.Sequential(
        nn.Conv2d(16, 8, 1, 2),
        nn.Conv2d(8, 8, 1),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.Conv2d(8, 8, 1, 2, 1),
        nn.Conv2d(8, 8, 1, 2, groups=2),
        Own(8, 8, 1, 2),
    )
    replace_strided_pointwise(others)
    assert not any(isinstance(each, StridedPointwise) for each in others)


def test_a_narrow_student_of_large_images_is_trained(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(path)
    recipe = {
        "data": {"source": str(tmp_path / "data"), "validation": None, "test": None},
        "student": {"network": "resnet10-64", "options": {"widths": [6, 12, 24, 48]}},
        "train": {"epochs": 3, "batch": 4},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    out = tmp_path / "run"
    ended(start("-m", "mentee.cli", "train", tmp_path / "recipe.yaml", "--out", out))
    assert (out / "student.safetensors").is_file()
