"""Which labeled examples a probe may learn from: balanced, nested, one of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import Examples, open_examples
from mentee.errors import DataError, RecipeError
from mentee.experiments.probe_data import open_probe_data, subsets
from mentee.recipe import Probe, read


def of(labels: Any) -> Examples:
    return open_examples({"image": np.zeros((len(labels), 2, 2), np.uint8), "label": labels})


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(2, 6), st.integers(30, 200))
def test_shares_are_balanced_and_nested(seed: int, classes: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    examples = of(labels)
    said = Probe(shares=[0.3, 0.01, 1.0, 0.1], seeds=2)
    found = {(each.share, each.seed): each.rows for each in subsets(examples, said)}
    assert set(found) == {(s, i) for s in (0.01, 0.1, 0.3) for i in (0, 1)} | {(1.0, 0)}
    for (share, draw), rows in found.items():
        assert len(rows) == max(round(share * n), classes)
        assert (np.diff(rows) > 0).all()
        taken = np.bincount(labels[rows], minlength=classes)
        short = taken < np.bincount(labels, minlength=classes)
        assert taken.min() >= 1
        assert not short.any() or taken.max() - taken[short].min() <= 1
        for smaller in (s for s, i in found if s < share and i == draw):
            assert set(found[smaller, draw]) <= set(rows)


def test_another_seed_draws_others() -> None:
    found = subsets(of(np.arange(200) % 4), Probe(shares=[0.1], seeds=3))
    assert len({tuple(each.rows) for each in found}) == 3


def test_of_several_classes_each_has_an_example() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 6)) < 0.05).astype(np.float32)
    for each in subsets(of(labels), Probe(shares=[0.02, 0.2], seeds=3)):
        assert (labels[each.rows].sum(0) > 0).all()


RECIPE = {
    "data": {"source": "embedded:digits", "views": "none", "label": False},
    "student": {"network": "resnet8-cifar", "classes": 1},
}


def test_the_runs_own_splits_with_their_labels() -> None:
    parts = open_probe_data(read(RECIPE), Probe())
    assert (len(parts.train), len(parts.test)) == (1297, 500)
    assert parts.classes == 10
    assert not set(parts.train.ids) & set(parts.test.ids)


def test_splits_of_another_source() -> None:
    recipe = read(RECIPE, ["data.source=elsewhere", "data.train=unlabeled"])
    parts = open_probe_data(recipe, Probe(source="embedded:digits", test="test"))
    assert (len(parts.train), len(parts.test)) == (1297, 500)
    with pytest.raises(RecipeError, match=r"name their split, probe\.test=test"):
        open_probe_data(recipe, Probe(source="embedded:digits"))


def test_examples_without_labels_cannot_be_probed(tmp_path: Any) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("text\na\nb\n")
    recipe = read(RECIPE, [f"data.source={tmp_path}", "student.network=hashed-bag-small"])
    with pytest.raises(DataError, match=r"has no labels to probe with; name their column"):
        open_probe_data(recipe, Probe())
