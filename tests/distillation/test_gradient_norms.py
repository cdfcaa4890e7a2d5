"""Lengths of gradients at the places of a student, against derivatives by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mentee.distillation.weights import measure_gradient_norms
from mentee.features import Capture, resolve

READS = {"squares": ["0"], "sum": ["2"], "both": ["0", "2"]}


class Student(nn.Sequential):
    """f = A x, g = max(f, 0) in the same memory, z = B g."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 5, bias=False), nn.ReLU(inplace=True), nn.Linear(5, 3))
        self.double()


def said(student: Student, x: Tensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What it says, and the points of the graph."""
    places = resolve(student, ["0", "2", "logits"], x)
    edges: dict[str, Any] = {}
    return Capture(student, places).run(student, x, edges), edges


def by_hand(student: Student, x: Tensor, c: Tensor) -> dict[str, np.ndarray]:
    a, b = (student[n].weight.detach().numpy() for n in (0, 2))
    f = x.numpy() @ a.T
    return {
        "task at 0": (c.numpy() @ b) * (f > 0),
        "task at 2": c.numpy(),
        "squares at 0": 2 * f,
        "sum at 2": np.ones_like(c.numpy()),
    }


def losses(features: dict[str, Tensor], c: Tensor) -> dict[str, Tensor]:
    """Whose derivatives are simple."""
    return {
        "task": (features["logits"] * c).sum(),
        "squares": features["0"].square().sum(),
        "sum": features["2"].sum(),
        "both": features["0"].square().sum() + features["2"].sum(),
    }


def test_lengths_are_those_of_the_derivatives() -> None:
    student, x, c = Student(), torch.randn(6, 4).double(), torch.randn(6, 3).double()
    features, edges = said(student, x)
    name, found = measure_gradient_norms(losses(features, c), READS, edges)
    known = {key: np.linalg.norm(value) for key, value in by_hand(student, x, c).items()}
    assert name == "task"
    assert found["squares"].own == pytest.approx(known["squares at 0"], rel=1e-9)
    assert found["squares"].reference == pytest.approx(known["task at 0"], rel=1e-9)
    assert found["sum"].own == pytest.approx(known["sum at 2"], rel=1e-9)
    assert found["sum"].reference == pytest.approx(known["task at 2"], rel=1e-9)
    both = np.hypot(known["task at 0"], known["task at 2"])
    assert found["both"].reference == pytest.approx(both, rel=1e-9)


def test_nothing_is_left_behind_and_the_graph_can_be_used_again() -> None:
    student, x, c = Student(), torch.randn(6, 4).double(), torch.randn(6, 3).double()
    features, edges = said(student, x)
    values = losses(features, c)
    measure_gradient_norms(values, READS, edges)
    assert all(p.grad is None for p in student.parameters())
    torch.stack(list(values.values())).sum().backward()
    found = [p.grad.clone() for p in student.parameters()]
    student.zero_grad()
    torch.stack(list(losses(said(student, x)[0], c).values())).sum().backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(found, student.parameters(), strict=True))


def test_without_a_task_the_loss_that_reaches_furthest_is_compared_with() -> None:
    student, x, c = Student(), torch.randn(6, 4).double(), torch.randn(6, 3).double()
    features, edges = said(student, x)
    values = losses(features, c)
    del values["task"]
    name, found = measure_gradient_norms(values, {"squares": ["0"], "sum": ["2"]}, edges)
    assert name == "sum"  # squares is of what comes before the second layer
    b = student[2].weight.detach().numpy()
    f = x.numpy() @ student[0].weight.detach().numpy().T
    assert found["squares"].reference == pytest.approx(np.linalg.norm(b.sum(0) * (f > 0)), rel=1e-9)
    assert found["sum"].own == found["sum"].reference


def test_a_place_that_a_loss_does_not_depend_on_has_no_length() -> None:
    student, x = Student(), torch.randn(6, 4).double()
    features, edges = said(student, x)
    values = {"task": features["0"].sum(), "late": features["2"].sum(), "off": torch.zeros(())}
    _, found = measure_gradient_norms(values, {"late": ["2"], "off": ["0"]}, edges)
    assert found["late"].own > 0
    assert np.isnan(found["late"].reference)
    assert found["off"].own == 0


def test_small_slopes_of_half_precision_are_not_lost() -> None:
    x = torch.ones(1000, 1, dtype=torch.float16)
    layer = nn.Linear(1, 1).half()
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
    edges: dict[str, Any] = {}
    place = resolve(layer, ["logits"], x[:2])
    said = Capture(layer, place).run(layer, x, edges)
    loss = (said["logits"].float() * 2e-8).sum()  # below the smallest number of float16
    found = measure_gradient_norms({"task": loss, "same": loss}, {"same": ["logits"]}, edges)[1]
    assert found["same"].own == pytest.approx(2e-8 * 1000**0.5, rel=0.05)
