"""What is switched on for a GPU, and only there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from mentee.build.compute_mode import resolve_precision, set_gpu_defaults
from mentee.recipe import Train


@pytest.fixture
def _as_it_was() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    yield
    torch.set_float32_matmul_precision(before[0])
    cudnn.allow_tf32, cudnn.benchmark = before[1:]


@pytest.mark.parametrize(
    ("gpu", "halves", "asked", "expected"),
    [
        (False, True, None, "float32"),
        (True, False, None, "float32"),
        (True, True, None, "bfloat16"),
        (True, True, "float32", "float32"),
        (True, True, "float16", "float16"),
        (False, False, "bfloat16", "bfloat16"),
    ],
)
def test_bfloat16_is_the_default_of_a_gpu_that_has_it(
    gpu: bool, halves: bool, asked: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: halves)
    assert resolve_precision(Train(precision=asked)).precision == expected


@pytest.mark.usefixtures("_as_it_was")
def test_on_a_cpu_nothing_is_switched_on() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    train = Train(precision="float32")
    assert set_gpu_defaults(Train(), train, torch.device("cpu")) == []
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark) == before


@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize(
    ("asked", "used", "matmul", "line"),
    [
        (None, "bfloat16", "high", "bfloat16 (the default of this GPU); TF32 .*: yes"),
        (None, "float32", "high", "float32 (the default of this GPU); TF32 .*: yes"),
        ("bfloat16", "bfloat16", "high", "bfloat16 (train.precision); TF32 .*: yes"),
        ("float32", "float32", "highest", "float32 (train.precision); TF32 .*: no, "),
    ],
)
def test_a_gpu_uses_tf32_unless_the_recipe_asks_for_float32(
    asked: str | None, used: str, matmul: str, line: str
) -> None:
    lines = set_gpu_defaults(Train(precision=asked), Train(precision=used), torch.device("cuda"))
    assert torch.get_float32_matmul_precision() == matmul
    assert torch.backends.cudnn.allow_tf32 is (matmul == "high")
    assert torch.backends.cudnn.benchmark is True
    before, _, after = line.partition("TF32 .*: ")
    assert lines[0].startswith(f"precision: {before}TF32 ")
    assert f": {after}" in lines[0]
    assert [each.partition(":")[0] for each in lines[1:]] == ["cuDNN", "optimizer", "losses"]
