"""Losses brought to one size: each way by its formula, in loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mentee.distillation.weights import FIRST, GradientNorms, LossWeights
from mentee.errors import MenteeError, PairError
from mentee.features import Capture
from mentee.methods import Component, Method, Term, adjust, find, leveled
from mentee.recipe import read
from tests.distillation.test_loop import RATE, examples, pair, part, run

VALUES = {"task": 2.0, "a": 300.0, "b": 0.004}


def loss_weights(balance: str, **weights: float) -> LossWeights:
    terms = {name: Term("logits", Component("kl"), 1.0) for name in ("a", "b")}
    said = {"task": 1.0, "a": 1.0, "b": 1.0, "own/b": 1.0} | weights
    return LossWeights(terms, said, {name: ["logits"] for name in terms}, balance)


def values(**changes: float) -> dict[str, Tensor]:
    found = {**VALUES, "own/b": 7.0, **changes}
    return {name: torch.tensor(value, requires_grad=True) for name, value in found.items()}


def test_none_is_the_weighted_sum() -> None:
    total = loss_weights("none", a=0.5)(values(), 0)
    assert total.item() == pytest.approx(2.0 + 150.0 + 0.004 + 7.0)


def test_unit_divides_by_the_mean_of_the_first_steps_for_ever() -> None:
    w, rng = loss_weights("unit", a=3.0, task=0.5), np.random.default_rng(0)
    seen: dict[str, list[float]] = {name: [] for name in VALUES}
    for step in range(FIRST + 5):
        now = {name: value * float(rng.uniform(0.5, 1.5)) for name, value in VALUES.items()}
        means = {}
        for name in VALUES:  # before the end of the first step: its own first batch
            means[name] = sum(seen[name]) / len(seen[name]) if seen[name] else now[name]
        expected = 0.5 * now["task"] / means["task"]
        expected += 3.0 * now["a"] / means["a"] + now["b"] / means["b"] + 7.0
        assert w(values(**now), step).item() == pytest.approx(expected, rel=1e-5)
        w.update(now | {"own/b": 7.0}, step)
        for name in VALUES if step < FIRST else ():
            seen[name].append(now[name])
    used = w.effective()
    assert used["a"] == pytest.approx(3.0 / np.mean(seen["a"]), rel=1e-12)
    assert used["own/b"] == 1.0


def test_the_second_part_of_the_first_step_has_the_first_ones_scale() -> None:
    w = loss_weights("unit")
    w(values(), 0)
    assert w(values(a=600.0), 0).item() == pytest.approx(1 + 2 + 1 + 7)


def test_uncertainty_is_the_scaled_sum_of_losses_and_logarithms() -> None:
    w, weights = loss_weights("uncertainty", a=3.0), {"task": 1.0, "a": 3.0, "b": 1.0}
    total = w(values(), 0)
    s = {name: math.log(value) for name, value in VALUES.items()}
    expected = sum(weights[n] * (math.exp(-s[n]) * VALUES[n] + s[n]) for n in VALUES) + 7.0
    assert total.item() == pytest.approx(expected, rel=1e-5)
    total.backward()
    assert w.balance.log_scales.grad.abs().max() < 1e-5  # it begins at the best scales
    later = {"task": 1.0, "a": 500.0, "b": 0.001}
    w.zero_grad()
    now = values(**later)
    w(now, 1).backward()
    slopes = [weights[n] * (1 - math.exp(-s[n]) * later[n]) for n in VALUES]
    assert w.balance.log_scales.grad.tolist() == pytest.approx(slopes, rel=1e-4)
    for name in VALUES:
        assert now[name].grad.item() == pytest.approx(weights[name] / VALUES[name], rel=1e-4)
    assert now["own/b"].grad.item() == 1.0
    assert w.effective()["a"] == pytest.approx(3.0 / 300.0, rel=1e-4)


def test_the_scales_of_uncertainty_follow_their_losses_whatever_their_unit() -> None:
    found = []
    for unit in (1.0, 1e4):
        w = loss_weights("uncertainty")
        rule = torch.optim.SGD(w.parameters(), lr=0.05)
        for step in range(100):
            rule.zero_grad()
            w(values(a=unit * (3.0 if step < 10 else 1.5)), step).backward()
            rule.step()
        found.append(w.effective()["a"] * unit)
    assert found[0] == pytest.approx(1 / 1.5, rel=0.02)
    assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_a_loss_that_is_nearly_nothing_is_not_blown_up() -> None:
    w = loss_weights("uncertainty")
    rule = torch.optim.SGD(w.parameters(), lr=0.5)
    for step in range(60):
        rule.zero_grad()
        w(values(a=300.0 if step == 0 else -1.0), step).backward()
        rule.step()
    w(values(), 60)
    assert w.effective()["a"] == pytest.approx(1 / 3.0, rel=1e-4)  # a hundredth of 300


@pytest.mark.parametrize("balance", ["unit", "uncertainty"])
def test_a_loss_without_a_size_is_refused(balance: str) -> None:
    text = f"a is 0 at the beginning, and balance {balance} divides by it; set method.balance: grad"
    with pytest.raises(PairError, match=text):
        loss_weights(balance)(values(a=0.0), 0)


def test_gradient_is_the_mean_of_the_measured_ratios() -> None:
    w, ratios = loss_weights("gradient", a=2.0), []
    rng = np.random.default_rng(1)
    for number in range(25):
        own, task = float(rng.uniform(1, 9)), float(rng.uniform(1, 9))
        gradient_norms = {"a": GradientNorms(own, task), "b": GradientNorms(1.0, 1.0)}
        if number == 0:
            w.loss_sizes.gradient_norms = gradient_norms
        w.balance.update(gradient_norms, "task")
        ratios.append(math.log(task / own))
        if number < 10:
            expected = sum(ratios) / len(ratios)
        else:
            expected += (ratios[-1] - expected) / 10
        assert w.effective()["a"] == pytest.approx(2.0 * math.exp(expected), rel=1e-9)
    assert w.effective()["task"] == 1.0


def test_a_term_that_is_satisfied_or_silent_is_not_blown_up() -> None:
    w = loss_weights("gradient")
    w.loss_sizes.gradient_norms = {"a": GradientNorms(4.0, 1.0), "b": GradientNorms(0.0, 1.0)}
    w.balance.update({"a": GradientNorms(1e-9, 1.0), "b": GradientNorms(0.0, 1.0)}, "task")
    assert w.effective()["a"] == pytest.approx(25.0)  # as if its gradient were 0.04
    assert w.effective()["b"] == 1.0  # nothing to measure


def test_a_term_that_the_task_does_not_meet_cannot_be_balanced_by_gradients() -> None:
    with pytest.raises(
        PairError, match=r"of the student that task does not depend on; set method\.balance: u"
    ):
        loss_weights("gradient").balance.update({"a": GradientNorms(1.0, math.nan)}, "task")


def test_the_pulls_are_measured_when_they_are_asked_for() -> None:
    assert [s for s in range(50) if loss_weights("gradient").should_measure(s)] == [0, 20, 40]
    assert [s for s in range(50) if loss_weights("unit").should_measure(s)] == [0]
    assert not LossWeights({}, {"task": 1.0}, {}).should_measure(0)
    first = {"a": Term("logits", Component("kl"), 1.0, exclusive_warmup=0.1)}
    alone = LossWeights(first, {"task": 1.0, "a": 1.0}, {"a": ["logits"]}, "gradient")
    alone.set_total_steps(300)
    assert [s for s in range(50) if alone.should_measure(s)] == [
        0,
        20,
    ]  # the teacher is heard for 30 steps


def test_there_is_no_other_balance() -> None:
    with pytest.raises(MenteeError, match="there is no balance 'units'; did you mean 'unit'"):
        loss_weights("units")


# In a real student


def balanced(balance: str, name: str = "crd-bank+kd", **weights: float) -> Method:
    row = adjust(
        leveled(find(name)), {"memory.negatives": 20} if "crd-bank" in name else {}, weights
    )
    return Method(row.name, row.terms, row.task, balance=balance)


def lengths(module: Any, teacher: Any, name: str) -> tuple[float, float]:
    """Of the gradients of a term and the task where the term reads, by a pass of its own."""
    batch = part(examples(), 0, 16)
    features = Capture(module.student, module._capture.layers).capture((batch.inputs - 0.5) / 0.5)
    at = features[name.partition("/")[2]]
    criterion = module.criterion
    criterion.begin(batch, 0)
    own = criterion(features, criterion.precompute(teacher(batch)), batch)[name]
    task = torch.nn.functional.cross_entropy(features["logits"], batch.labels)
    found = [torch.autograd.grad(loss, at, retain_graph=True)[0] for loss in (own, task)]
    return float(found[0].norm()), float(found[1].norm())


def test_with_gradient_each_term_pulls_as_hard_as_is_said() -> None:
    module, teacher = pair(balanced("gradient", contrast=0.5, kl=2.0))
    before = {}
    for name in ("contrast/embedding", "kl/logits"):
        before[name] = lengths(module, teacher, name)
        for memory in module.criterion.memories:
            memory._read = {}
    run(module, teacher, epochs=1, rate=1e-12)
    used = module.criterion.loss_weights.effective()
    for name, ratio in (("contrast/embedding", 0.5), ("kl/logits", 2.0)):
        own, task = before[name]
        assert used[name] * own == pytest.approx(ratio * task, rel=1e-3), name
    assert used["task"] == 1.0


def test_what_is_measured_is_said_with_weights_and_pulls() -> None:
    module, teacher = pair(adjust(find("kd"), {}, {}))
    own, task = lengths(module, teacher, "kl/logits")
    steps = run(module, teacher, epochs=1)
    loss_weights = module.criterion.loss_weights
    table = loss_weights.loss_sizes.table(loss_weights.effective())
    for name, weight in (("kl/logits", 0.9), ("task", 0.1)):
        mean = sum(step.losses[name] for step in steps) / len(steps)
        assert table[name]["mean"] == pytest.approx(mean, rel=1e-6)
        assert table[name]["weight"] == weight
    assert table["kl/logits"]["pull"] == pytest.approx(0.9 * own / (0.1 * task), rel=1e-3)
    assert table["task"]["pull"] == 1.0


def test_the_steps_loss_is_of_the_balanced_weights() -> None:
    module, teacher = pair(balanced("unit"))
    steps = run(module, teacher)
    assert steps[0].loss == pytest.approx(3.0, rel=1e-5)
    weights = module.criterion.loss_weights.effective()
    sums = [sum(weights[name] * value for name, value in s.losses.items()) for s in steps]
    assert len(steps) < FIRST
    assert steps[-1].loss != pytest.approx(sums[-1], rel=1e-6)  # the last step counts in them too
    assert sum(sums) / len(sums) == pytest.approx(3.0, rel=1e-5)


def test_uncertainty_trains_its_scales_beside_the_student() -> None:
    module, teacher = pair(balanced("uncertainty"))
    steps = run(module, teacher, epochs=1, rate=RATE)
    s = {n: math.log(v) for n, v in steps[0].losses.items()}
    for step in steps:
        total = sum(math.exp(-s[n]) * v + s[n] for n, v in step.losses.items())
        assert step.loss == pytest.approx(total, rel=1e-4)
        s = {n: s[n] - RATE * (1 - math.exp(-s[n]) * v) for n, v in step.losses.items()}
    names = module.criterion.loss_weights.loss_sizes.names
    assert module.criterion.loss_weights.balance.log_scales.tolist() == pytest.approx(
        [s[n] for n in names], rel=1e-4
    )


@pytest.mark.parametrize("balance", ["none", "unit", "uncertainty", "gradient"])
def test_a_student_without_labels_is_balanced_too(balance: str) -> None:
    module, teacher = pair(balanced(balance, task=0.0))
    steps = run(module, teacher)
    assert all("task" not in step.losses for step in steps)
    loss_weights = module.criterion.loss_weights
    assert loss_weights.loss_sizes.names == ("contrast/embedding", "kl/logits")
    table = loss_weights.loss_sizes.table(loss_weights.effective())
    assert loss_weights.loss_sizes.reference == "kl/logits"
    assert table["kl/logits"]["pull"] == pytest.approx(1.0)
    if balance == "gradient":
        assert table["contrast/embedding"]["pull"] == pytest.approx(1.0, rel=1e-5)
        assert loss_weights.effective()["kl/logits"] == 1.0


def test_measuring_changes_nothing_of_a_training() -> None:
    found = []
    for looks in (True, False):
        module, teacher = pair(adjust(find("crd-bank+kd"), {"memory.negatives": 20}, {}))
        module._looks = looks
        steps = run(module, teacher, momentum=0.9)
        assert bool(module.criterion.loss_weights.loss_sizes.gradient_norms) == looks
        found.append(([s.loss for s in steps], module.state_dict()))
    (losses, one), (same, other) = found
    assert losses == same
    assert all(torch.equal(one[name], other[name]) for name in one)


# In a recipe


def test_a_recipes_weight_is_what_is_said_and_else_1() -> None:
    content = {
        "data": "embedded:digits",
        "student": "resnet8-cifar",
        "method": {
            "name": "cktf-bank+kd",
            "balance": "unit",
            "weights": {"stages": 0.3, "task": 2.0},
        },
    }
    row = read(content).method.method({"cktf-bank+kd": find("cktf-bank+kd")})
    assert row.balance == "unit"
    assert (row.task, [term.weight for term in row.terms]) == (2.0, [1.0, 0.3, 1.0, 1.0])
    own = {"layers": "logits", "loss": "kl", "weight": 0.7}
    content["method"] = {"terms": [own], "balance": "gradient"}
    assert read(content).method.method({}).terms[0].weight == 0.7
