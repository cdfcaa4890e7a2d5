"""Students within a budget: counted, scaled, measured."""

from __future__ import annotations

import itertools
import sys
import time

import pytest
import torch
from torch import nn

from mentee.errors import RecipeError
from mentee.experiments.distill import candidates as candidates_module
from mentee.experiments.distill import latency as latency_module
from mentee.experiments.distill.candidates import Budget, candidates, over, widest
from mentee.experiments.distill.latency import latency
from mentee.models import build, count_parameters
from mentee.recipe import Network

OWN = Network(network="resnet8-cifar")


def module(network: Network) -> nn.Module:
    return build(network.network, classes=10, **network.options)  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [6_000, 100_000, 300_000])
def test_networks_fill_a_budget_of_parameters(most: int) -> None:
    example = torch.zeros(1, 3, 32, 32)
    students, _ = candidates(OWN, "image", example, module, Budget(most), given=False)
    assert students
    assert [s.parameters for s in students] == sorted(
        (s.parameters for s in students), reverse=True
    )
    for student in students:
        assert student.parameters == count_parameters(module(student.network)) <= most
        wider = tuple(
            w + w // student.network.options["widths"][0] for w in student.network.options["widths"]
        )  # type: ignore[operator,index,union-attr]
        bigger = student.network.model_copy(update={"options": {"widths": wider}})
        assert count_parameters(module(bigger)) > most


def test_bytes_count_statistics_too() -> None:
    network = module(OWN)
    size = sum(4 * each.numel() for each in network.state_dict().values())
    example = torch.zeros(1, 3, 32, 32)
    budget = Budget(bytes=size - 1)
    with pytest.raises(RecipeError, match=f"at most {size - 1:,} bytes.*{size:,} bytes"):
        candidates(OWN, "image", example, module, budget, given=True)


@pytest.mark.parametrize(
    ("kind", "shape", "network"),
    [
        ("audio", (1, 8000), "small-fcn"),
        ("text", (1, 64), "hashed-bag"),
        ("image", (1, 3, 96, 96), "resnet8-cifar"),
    ],
)
def test_each_kind_of_data_has_students(kind: str, shape: tuple[int, ...], network: str) -> None:
    example = torch.zeros(*shape, dtype=torch.uint8 if kind == "text" else torch.float32)
    students, _ = candidates(OWN, kind, example, module, Budget(80_000), given=False)
    assert network in {student.network.network for student in students}
    assert all(student.parameters <= 80_000 for student in students)


@pytest.mark.parametrize(("side", "stride"), [(64, 2), (96, 3), (224, 7), (600, 8)])
def test_large_images_are_read_with_a_stride(side: int, stride: int) -> None:
    example = torch.zeros(1, 3, side, side)
    students, _ = candidates(OWN, "image", example, module, Budget(80_000), given=False)
    assert {student.network.options["stem_stride"] for student in students} == {stride}


def test_a_student_that_is_given_is_the_only_one() -> None:
    students, left = candidates(
        OWN, "image", torch.zeros(1, 3, 32, 32), module, Budget(), given=True
    )
    assert [student.name for student in students] == ["resnet8-cifar"]
    assert left == []


def test_a_budget_that_nothing_fits_is_refused() -> None:
    with pytest.raises(
        RecipeError,
        match=r"no student costs at most 10 parameters: .*resnet8-cifar-4: 5,214 parameters",
    ):
        candidates(OWN, "image", torch.zeros(1, 3, 32, 32), module, Budget(10), given=False)
    assert widest("resnet8-cifar", lambda w: {"widths": (w, 2 * w, 4 * w)}, module, 10) == 4


class Slow(nn.Module):
    """Takes at least two milliseconds."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.002)
        return x


def test_without_onnxruntime_torch_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    milliseconds, runtime = latency(Slow(), torch.zeros(1, 3))
    assert runtime == "torch"
    assert milliseconds >= 2


def test_a_round_that_was_disturbed_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.001] * 30 + [0.05] * 40)
    now = iter(itertools.accumulate(each for s in seconds for each in (1.0, s)))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(latency_module.time, "perf_counter", lambda: next(now))
    assert latency(nn.Identity(), torch.zeros(1, 3))[0] == pytest.approx(1.0)


def test_onnxruntime_is_measured_where_it_is_installed() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    small = latency(module(OWN), torch.zeros(1, 3, 32, 32))
    assert small[1] == "onnxruntime"
    assert 0 < small[0] < 1000


@pytest.mark.parametrize(("most", "calls"), [(3, 7), (1e3, 3)])
def test_by_latency_alone_several_widths_are_tried(
    most: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those that are chosen are exported, and others in place of what is too slow."""
    exported = []

    def counted(network: nn.Module, example: torch.Tensor) -> tuple[float, str]:
        exported.append(network)
        return count_parameters(network) / 1e5, "counted"

    monkeypatch.setattr(candidates_module, "latency", counted)
    monkeypatch.setattr(candidates_module, "too_slow", lambda *_: "")
    example = torch.zeros(1, 3, 32, 32)
    budget = Budget(milliseconds=most)
    students, left = candidates(OWN, "image", example, module, budget, given=False)
    assert len(students) == 3
    assert len(exported) == calls
    assert all(over(each, budget) == "" and each.runtime == "counted" for each in students)
    assert any("resnet20-cifar-32" in line for line in left) == (most == 3)


def test_what_is_far_too_slow_in_torch_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates_module, "latency", None)
    monkeypatch.setattr(latency_module, "OVERHEAD", 0.0)
    example, budget = torch.zeros(1, 3), Budget(milliseconds=0.4)
    with pytest.raises(RecipeError, match=r"resnet8-cifar: [\d.]+ ms \(torch\)"):
        candidates(OWN, "image", example, lambda network: Slow(), budget, given=True)


def test_a_latency_above_the_budget_is_named() -> None:
    example = torch.zeros(1, 3, 32, 32)
    with pytest.raises(RecipeError, match=r"0.0001 ms.*resnet8-cifar: [\d.]+ ms"):
        candidates(OWN, "image", example, module, Budget(milliseconds=1e-4), given=True)


def test_over_names_the_first_that_is_exceeded() -> None:
    students, _ = candidates(OWN, "image", torch.zeros(1, 3, 32, 32), module, Budget(), given=True)
    assert over(students[0], Budget(1)) == "78,042 parameters"
    assert over(students[0], Budget()) == ""
