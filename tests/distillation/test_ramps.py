"""What each loss weighs in a step."""

from __future__ import annotations

import pytest

from mentee.distillation.weights import LossWeights
from mentee.methods import METHODS, Component, Method, Term, find
from mentee.recipe import read
from tests.distillation.test_objective import MAPPED, WIDE, bind

SMALL = {"memory.negatives": 8, "project.width": 4}
LOGITS = {"logits": (4,)}


def test_a_term_that_comes_first_is_alone_and_then_counts_no_more() -> None:
    criterion = bind("fsp+crd-bank", MAPPED, WIDE, numbers=SMALL)
    flowing, contrast = (bound.name for bound in criterion.bound_terms)
    loss_weights = criterion.loss_weights
    assert loss_weights.scheduled(0) == criterion.weights  # steps are not known: all the time
    loss_weights.set_total_steps(27)  # three of them first
    assert loss_weights.scheduled(2) == {"task": 0.0, flowing: 50.0, contrast: 0.0}
    assert loss_weights.scheduled(3) == {"task": 1.0, flowing: 0.0, contrast: 0.8}
    assert loss_weights.teacher_is_used(2)
    assert loss_weights.teacher_is_used(3)
    alone = bind("fsp", MAPPED, WIDE, numbers={}).loss_weights
    alone.set_total_steps(27)
    assert alone.teacher_is_used(2)
    assert not alone.teacher_is_used(3)


def test_steps_without_the_teacher_are_not_measured() -> None:
    loss_weights = bind("fsp", MAPPED, WIDE, numbers={}).loss_weights
    loss_weights.set_total_steps(27)
    (flowing,) = (name for name in loss_weights.base if name != "task")
    for step, value in enumerate((4.0, 2.0, 3.0, 0.0, 0.0)):  # three steps of the term alone
        loss_weights.update({"task": 1.0, flowing: value}, step)
    assert loss_weights.loss_sizes.steps == 3
    assert loss_weights.loss_sizes.means() == {"task": 1.0, flowing: 3.0}


def test_a_weight_rises_in_a_line_and_is_whole_after_its_share_of_the_steps() -> None:
    loss_weights = bind("reviewkd+kd", MAPPED | LOGITS, WIDE | LOGITS, numbers={}).loss_weights
    assert loss_weights.scheduled(0) == loss_weights.base
    loss_weights.set_total_steps(240)
    rising, soft = (name for name in loss_weights.base if name != "task")
    for step in (0, 1, 10, 18, 19, 20, 239):
        expected = {"task": 1.0, rising: 5.0 * min((step + 1) / 20, 1.0), soft: 1.0}
        assert loss_weights.scheduled(step) == pytest.approx(expected, rel=1e-12), step


def test_a_weight_rises_from_where_its_term_begins_to_count() -> None:
    terms = {
        "a": Term("logits", Component("kl"), 2.0, exclusive_warmup=0.2, ramp=0.1),
        "b": Term("logits", Component("mse"), 3.0, ramp=0.4),
    }
    said = {"task": 1.0, "a": 2.0, "b": 3.0, "own/b": 1.0}
    loss_weights = LossWeights(terms, said, {"a": ["logits"], "b": ["logits"]})
    loss_weights.set_total_steps(20)  # a alone for 4, rising over 2; b rises over 8 from there
    for step in range(20):
        first = step < 4
        assert loss_weights.scheduled(step) == pytest.approx(
            {
                "task": 0.0 if first else 1.0,
                "a": 2.0 * min((step + 1) / 2, 1.0) if first else 0.0,
                "b": 0.0 if first else 3.0 * min((step - 3) / 8, 1.0),
                "own/b": 1.0,
            }
        )


def test_nothing_is_made_where_no_weight_changes() -> None:
    loss_weights = bind("cktf-bank").loss_weights
    loss_weights.set_total_steps(100)
    assert loss_weights.scheduled(3) is loss_weights.scheduled(70)


def test_the_rows_that_are_published_with_a_rise_have_it() -> None:
    rising = {name for name, row in METHODS.items() if any(term.ramp for term in row.terms)}
    assert rising == {"dkd", "reviewkd"}
    assert all(term.ramp == 20 / 240 for name in rising for term in find(name).terms)


def test_a_recipe_says_it() -> None:
    term = {"layers": "logits", "loss": "kl", "weight": 1.0, "ramp": 0.25, "exclusive_warmup": 0.5}
    recipe = {"data": "embedded:digits", "student": "resnet8-cifar", "method": {"terms": [term]}}
    row: Method = read(recipe).method.method(METHODS)
    assert (row.terms[0].ramp, row.terms[0].exclusive_warmup) == (0.25, 0.5)
