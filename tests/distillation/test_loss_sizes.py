"""What is remembered of the first steps."""

from __future__ import annotations

import math

import pytest
import torch

from mentee.distillation.weights import FIRST, GradientNorms, LossSizes
from mentee.distillation.weights.balance import Gradient
from mentee.errors import RunError


def filled(steps: int = 3) -> LossSizes:
    measured = LossSizes(["task", "a", "b"])
    measured.begin({"task": torch.tensor(1.0), "a": torch.tensor(4.0), "own/b": torch.tensor(9.0)})
    for number in range(steps):
        measured.update({"task": 1.0 + number, "a": 4.0, "b": 0.1 * number, "own/b": 3.0})
    measured.gradient_norms = {"a": GradientNorms(2.0, 0.5), "b": GradientNorms(1.0, math.nan)}
    measured.reference = "task"
    return measured


def test_the_means_are_of_ten_steps_at_most() -> None:
    assert filled(0).means() == {"task": 1.0, "a": 4.0}  # those of the first batch
    assert filled(3).means() == {"task": 2.0, "a": 4.0, "b": pytest.approx(0.1)}
    assert filled(25).means()["task"] == pytest.approx(sum(range(1, FIRST + 1)) / FIRST)


def test_the_table_has_means_weights_and_weighted_pulls() -> None:
    table = filled().table({"task": 0.5, "a": 3.0, "b": 1.0})
    assert table == {
        "task": {"mean": 2.0, "weight": 0.5, "pull": 1.0},
        "a": {"mean": 4.0, "weight": 3.0, "pull": pytest.approx(3.0 * 2.0 / (0.5 * 0.5))},
        "b": {"mean": pytest.approx(0.1), "weight": 1.0, "pull": None},
    }


@pytest.mark.parametrize("before", [LossSizes(["task", "a", "b"]), filled()], ids=["new", "begun"])
def test_it_goes_on_where_it_was(before: LossSizes) -> None:
    after = LossSizes(["task", "a", "b"])
    after.load({name: tensor.clone() for name, tensor in before.state().items()})
    assert after.means() == (before.means() if before.steps else {})
    assert (after.steps, after.reference) == (before.steps, before.reference)
    assert after.gradient_norms.keys() == before.gradient_norms.keys()
    assert after.gradient_norms.get("a") == before.gradient_norms.get("a")
    for measured in (before, after):
        measured.update({"task": 0.3, "a": 1 / 3, "b": 0.7})
    assert after.means() == before.means()


def test_a_state_of_other_losses_is_refused() -> None:
    with pytest.raises(RunError, match="has measured 3 losses, this run has 1; resume with the re"):
        LossSizes(["task"]).load(filled().state())


def test_ratios_of_gradients_go_on_where_they_were() -> None:
    before, after = Gradient(filled()), Gradient(filled())
    before.update({"a": GradientNorms(3.0, 0.7)}, "task")
    after.load(before.state())
    for balance in (before, after):
        balance.update({"a": GradientNorms(2.0, 0.9)}, "task")
    assert after.factors() == before.factors()
    assert before.factors()["a"] != 1.0
