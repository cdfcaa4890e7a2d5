"""Who of several teachers is heard of an example: loops, weights, the same draws again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mentee.distillation.weights import TeacherDropout
from mentee.types import Batch

SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}
WHOSE = {"cosine/a": "a", "mse/a": "a", "cosine/b": "b", "whole/c": "c"}
WEIGHTS = {"cosine/a": 0.4, "mse/a": 0.1, "cosine/b": 0.3, "whole/c": 0.2, "task": 1.0}


def batch_of(count: int, first: int = 3) -> Batch:
    ids = first + torch.arange(count)
    return Batch(torch.zeros(count, 1), ids, ids)


def values_of(count: int, seed: int = 0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    shapes = {name: () if name == "whole/c" else (count,) for name in WHOSE}
    return {n: torch.from_numpy(np.asarray(rng.random(shape))) for n, shape in shapes.items()}


def in_loops(values: dict[str, Tensor], drawn: np.ndarray, count: int) -> dict[str, float]:
    """The docstring's formula, an example at a time."""
    sums = dict.fromkeys(values, 0.0)
    for i in range(count):
        own = {n: float(v if v.ndim == 0 else v[i]) for n, v in values.items()}
        losses = {
            j: sum(WEIGHTS[k] * own[k] for k in own if WHOSE[k] == j) / SHARES[j] for j in SHARES
        }
        worst = max(losses, key=lambda j: losses[j])
        heard = {j: j == worst or bool(drawn[n, i]) for n, j in enumerate(SHARES)}
        whole = sum(SHARES[j] for j in SHARES if heard[j])
        for k in own:
            sums[k] += own[k] * heard[WHOSE[k]] / whole / count
    return sums


def test_it_is_the_formula() -> None:
    count, values = 40, values_of(40)
    dropping = TeacherDropout(0.5, SHARES, WHOSE, seed=1)
    batch = batch_of(count)
    drawn = dropping._drawn(list(SHARES), batch, 7).numpy()
    found = {name: float(v.mean()) for name, v in dropping(values, WEIGHTS, batch, 7).items()}
    assert found == pytest.approx(in_loops(values, drawn, count), rel=1e-12)


def test_the_one_that_is_followed_least_is_always_heard_and_the_weight_is_renewed() -> None:
    values = {"cosine/a": torch.tensor([5.0, 0.0]), "cosine/b": torch.tensor([0.0, 7.0])}
    shares, weights = {"a": 0.5, "b": 0.5}, {"cosine/a": 0.5, "cosine/b": 0.5}
    whose = {"cosine/a": "a", "cosine/b": "b"}
    alone = TeacherDropout(1 - 1e-12, shares, whose)(values, weights, batch_of(2), 0)
    assert alone["cosine/a"].tolist() == [10.0, 0.0]
    assert alone["cosine/b"].tolist() == [0.0, 14.0]
    for step in range(20):
        found = TeacherDropout(0.5, shares, whose)(values, weights, batch_of(2), step)
        assert found["cosine/a"][0] in (5.0, 10.0)
        assert found["cosine/b"][1] in (7.0, 14.0)


def test_nobody_is_dropped_where_the_share_is_zero() -> None:
    values = values_of(8)
    found = TeacherDropout(0.0, SHARES, WHOSE)(values, WEIGHTS, batch_of(8), 0)
    for name, value in values.items():
        torch.testing.assert_close(found[name], value.expand(8))


def test_about_as_many_are_dropped_as_is_said() -> None:
    values = {"x/a": torch.ones(4000), "x/b": torch.zeros(4000)}
    dropping = TeacherDropout(0.3, {"a": 0.5, "b": 0.5}, {"x/a": "a", "x/b": "b"})
    found = dropping(values, {"x/a": 0.5, "x/b": 0.5}, batch_of(4000), 0)
    alone = (found["x/a"] == 2.0).double().mean()  # where b is not heard, a weighs twice as much
    assert alone.item() == pytest.approx(0.3, abs=0.03)


def test_the_draws_follow_seed_step_and_example_and_nothing_else() -> None:
    def drawn(seed: int, step: int, first: int, count: int = 64) -> list[list[bool]]:
        batch = batch_of(count, first)
        return TeacherDropout(0.5, SHARES, WHOSE, seed)._drawn(list(SHARES), batch, step).tolist()  # type: ignore[no-any-return]

    whole = drawn(1, 5, 3)
    assert whole == drawn(1, 5, 3)
    halves = [drawn(1, 5, 3, 32), drawn(1, 5, 35, 32)]  # as two processes share the batch
    assert whole == [a + b for a, b in zip(*halves, strict=True)]
    others = [(1, 5, 3), (2, 5, 3), (1, 6, 3), (1, 5, 4)]
    assert len({str(drawn(*each)) for each in others}) == 4
    assert len({str(teacher) for teacher in whole}) == 3


def test_only_what_is_heard_has_a_slope() -> None:
    a = torch.tensor([5.0, 0.1], requires_grad=True)
    b = torch.tensor([0.1, 5.0], requires_grad=True)
    dropping = TeacherDropout(1 - 1e-12, {"a": 0.5, "b": 0.5}, {"x/a": "a", "x/b": "b"})
    found = dropping({"x/a": a, "x/b": b}, {"x/a": 0.5, "x/b": 0.5}, batch_of(2), 0)
    sum(value.mean() for value in found.values()).backward()  # type: ignore[union-attr]
    assert a.grad is not None
    assert b.grad is not None
    assert (a.grad.tolist(), b.grad.tolist()) == ([1.0, 0.0], [0.0, 1.0])
