"""Labels known in part: each known one counts the same, and their numbers are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mentee.build.datasets import open_splits
from mentee.recipe import Recipe
from mentee.tasks import Regression, mixed_mask, task_of
from mentee.training.adapter_pretraining import task_loss
from mentee.types import Batch, Mixup

# Eleven labels of each of 2 examples, and one of each of 6 others.
B, K = 8, 11
KNOWN = torch.zeros(B, K, dtype=torch.bool)
KNOWN[:2], KNOWN[2:, 10] = True, True
RANDOM = torch.Generator().manual_seed(0)
OUTPUTS = torch.randn(B, K, generator=RANDOM)
YES = (torch.rand(B, K, generator=RANDOM) > 0.5).float() * KNOWN


def binary(z: Any, y: Any) -> Any:
    return np.logaddexp(0, z) - y * z


def square(z: Any, y: Any) -> Any:
    return (z - y) ** 2


CASES = [
    pytest.param(task_of(YES), binary, id="classes"),
    pytest.param(Regression(), square, id="targets"),
    pytest.param(Regression(criterion="l1"), lambda z, y: abs(z - y), id="targets, l1"),
]


@pytest.mark.parametrize(("task", "formula"), CASES)
@pytest.mark.parametrize("blank", [0, 3], ids=["", "examples without any"])
def test_the_loss_is_the_mean_over_the_known_labels(task: Any, formula: Any, blank: int) -> None:
    known = KNOWN.clone()
    known[B - blank :] = False
    rows = torch.arange(B)
    has = known.any(1) if blank else None
    batch = Batch(torch.zeros(B, 1), rows, rows, labels=YES, mask=known, labeled=has)
    expected = formula(OUTPUTS.double().numpy(), YES.numpy())[known.numpy()].mean()
    assert task.batch_loss(batch, OUTPUTS).mean().item() == pytest.approx(expected, rel=1e-6)
    adapter = task_loss(task, YES, known, has, OUTPUTS)
    assert adapter.mean().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("task", "formula"), CASES)
def test_a_known_label_pulls_the_same_beside_others_and_alone(task: Any, formula: Any) -> None:
    rows, outputs = torch.arange(B), torch.zeros(B, K, requires_grad=True)
    batch = Batch(torch.zeros(B, 1), rows, rows, labels=KNOWN.float(), mask=KNOWN)
    (gradient,) = torch.autograd.grad(task.batch_loss(batch, outputs).mean(), outputs)
    pulls = gradient[KNOWN].abs()
    assert torch.allclose(pulls, pulls[0].expand_as(pulls))
    assert (gradient[~KNOWN] == 0).all()


def test_of_mixed_examples_the_labels_of_both_count() -> None:
    rows = torch.arange(B)
    mixed = Mixup(torch.roll(rows, 1), 0.5)
    batch = Batch(torch.zeros(B, 1), rows, rows, labels=YES, mask=KNOWN, mixed=mixed)
    mask = mixed_mask(batch)
    assert mask is not None
    loss = task_of(YES).batch_loss(batch, torch.zeros(B, K))
    assert loss.mean().item() == pytest.approx(np.log(2), rel=1e-6)
    assert (loss > 0).all()


def test_with_all_labels_known_nothing_changes() -> None:
    rows, task = torch.arange(B), task_of(YES)
    plain = Batch(torch.zeros(B, 1), rows, rows, labels=YES)
    masked = Batch(torch.zeros(B, 1), rows, rows, labels=YES, mask=torch.ones_like(KNOWN))
    one, other = task.batch_loss(plain, OUTPUTS), task.batch_loss(masked, OUTPUTS)
    torch.testing.assert_close(one, other, rtol=1e-6, atol=0)


COUNTS = {
    None: "labels are known of a 2 (1 yes), b 3 (1 yes), of 4 examples; the loss is the mean over "
    "the known labels of a batch",
    "regression": "labels are known of a 2, b 3, of 4 examples; the loss is the mean over the "
    "known labels of a batch",
}


@pytest.mark.parametrize("task", COUNTS)
def test_the_numbers_of_known_labels_are_told(task: str | None) -> None:
    rows = [[1, 0], [0, 1], [None, 0], ["", float("nan")], [float("nan"), None]]
    rows[3] = [0, None] if task is None else [0.0, None]
    rows[1] = [None, 1]
    data: dict[str, Any] = {"text": list("vwxyz"), "label": rows, "task": task or "multi"}
    content = {"source": "x", "validation": None, "test": None, "classes": ["a", "b"]}
    recipe = Recipe.model_validate({"data": content, "student": {"network": "hashed-bag"}})
    assert COUNTS[task] in open_splits(recipe, data).notes
    whole = data | {"label": [[1, 0], [0, 1]], "text": ["v", "w"]}
    assert open_splits(recipe, whole).notes == []
