from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import Examples, check_classes, limit, open_examples, split
from mentee.errors import DataError


def _examples(labels: list[int] | None, order: list[int] | None = None) -> Examples:
    n = 10 if labels is None else len(labels)
    order = order or list(range(n))
    parts = {
        "image": np.zeros((n, 2, 2), np.uint8),
        "id": [f"id{i}" for i in order],
        "label": None if labels is None else [labels[i] for i in order],
    }
    return open_examples(parts)


label_lists = st.lists(st.integers(0, 4), min_size=4, max_size=60)


@settings(deadline=None, max_examples=40)
@given(label_lists, st.floats(0.05, 0.95), st.integers(0, 3), st.randoms())
def test_a_split_keeps_its_promises(labels, fraction, seed, random) -> None:
    counts = np.bincount(labels)
    if counts.max() < 2:
        return
    parts = split(_examples(labels), fraction=fraction, seed=seed)
    train, validation = (set(part.ids) for part in parts)
    assert train | validation == {f"id{i}" for i in range(len(labels))}
    assert not train & validation
    sides = [np.bincount(part.labels, minlength=5) for part in parts]
    for name, count in enumerate(counts):
        held_out = sides[1][name]
        assert sides[0][name] + held_out == count
        assert held_out == 0 if count < 2 else held_out <= count - 1
        if count * fraction >= 1 and count * (1 - fraction) >= 1:
            assert held_out >= 1
            assert abs(held_out - count * fraction) <= 1 or held_out in (1, count - 1)
    order = list(range(len(labels)))
    random.shuffle(order)
    again = split(_examples(labels, order), fraction=fraction, seed=seed)
    assert [set(part.ids) for part in again] == [train, validation]


def _targets(count: int, size: int) -> Examples:
    values = np.repeat(np.arange(count), size) + 0.5
    return open_examples({"text": ["x"] * (count * size), "label": values})


def _folders(count: int, size: int) -> Examples:
    names = [f"class {i}" for i in range(count)] * size
    return open_examples({"text": ["x"] * (count * size), "label": names})


def _numbers(count: int, size: int) -> Examples:
    return _examples([i % count for i in range(count * size)])


@pytest.mark.parametrize("form", [_numbers, _folders, _targets])
@pytest.mark.parametrize("size", [2, 3, 5, 9])
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2])
def test_small_classes_keep_the_share_of_the_whole(form, size: int, fraction: float) -> None:
    train, validation = split(form(60, size), fraction=fraction, seed=0)
    assert len(validation) == round(60 * size * fraction)
    assert len(train) + len(validation) == 60 * size
    if form is not _targets:
        held_out = np.bincount(validation.labels, minlength=60)
        assert held_out.max() - held_out.min() <= 1
        (note,) = validation.notes if (held_out == 0).any() else ("",)
        few = int((held_out == 0).sum())
        assert not few or note.startswith(f"validation: {few} of 60 groups of arrays (classes")
        other = split(form(60, size), fraction=fraction, seed=1)[1]
        assert not few or set(other.labels.tolist()) != set(validation.labels.tolist())


def test_a_large_class_gives_before_small_ones() -> None:
    labels = [0] * 90 + [label for label in range(1, 21) for _ in range(2)]
    validation = split(_examples(labels), fraction=0.1, seed=0)[1]
    assert np.bincount(validation.labels)[0] == 9
    assert len(validation) == 13


def test_a_large_split_has_the_exact_size() -> None:
    labels = np.random.default_rng(0).integers(0, 7, 1000).tolist()
    train, validation = split(_examples(labels), fraction=0.213, seed=1)
    assert (len(train), len(validation)) == (787, 213)
    other = split(_examples(labels), fraction=0.213, seed=2)[1]
    assert 20 < len(set(other.ids) & set(validation.ids)) < 90  # 45 expected by chance


def test_examples_without_labels_are_split_too() -> None:
    train, validation = split(_examples(None), fraction=0.3, seed=0)
    assert (len(train), len(validation)) == (7, 3)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0])
def test_a_fraction_must_leave_two_sides(fraction: float) -> None:
    with pytest.raises(DataError, match="expected a number between 0 and 1"):
        split(_examples(None), fraction=fraction, seed=0)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_a_side_without_examples_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match=r"leaves one side of . examples empty"):
        split(_examples(labels), fraction=0.5, seed=0)


@settings(deadline=None, max_examples=40)
@given(label_lists, st.data())
def test_limits_are_balanced_and_nested(labels, data) -> None:
    examples = _examples(labels)
    n = data.draw(st.integers(1, len(labels)))
    part = limit(examples, n, seed=5)
    assert len(part) == n
    taken, there = np.bincount(part.labels, minlength=5), np.bincount(labels, minlength=5)
    short = taken < there
    assert short.sum() == 0 or taken.max() - taken[short].min() <= 1
    smaller = limit(examples, data.draw(st.integers(1, n)), seed=5)
    assert set(smaller.ids) <= set(part.ids)
    assert list(part.ids) == [text for text in examples.ids if text in set(part.ids)]
    backwards = _examples(labels, list(range(len(labels)))[::-1])
    assert set(limit(backwards, n, seed=5).ids) == set(part.ids)


@pytest.mark.parametrize("n", [0, 11])
def test_a_limit_must_be_there(n: int) -> None:
    with pytest.raises(DataError, match=f"limit {n}: .* 1 to 10 examples"):
        limit(_examples(None), n, seed=0)


def test_a_class_without_examples_is_named() -> None:
    image = np.zeros((2, 2, 2), np.uint8)
    names = ["cat", "dog", "owl"]
    single = open_examples({"image": image, "label": [0, 2]}, classes=names)
    with pytest.raises(DataError, match="no example of 1 of 3 classes: dog;"):
        check_classes(single)
    multi = open_examples({"image": image, "label": [[1, 0, -1], [1, 1, 0]]}, classes=names)
    with pytest.raises(DataError, match="no example of 1 of 3 classes: owl;"):
        check_classes(multi)
    check_classes(open_examples({"image": image}))
    check_classes(open_examples({"image": image, "label": [0, 1]}))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), st.data())
def test_limits_of_several_classes_have_each_class_first(seed, data) -> None:
    rng = np.random.default_rng(seed)
    label = (rng.random((40, 5)) < 0.15).astype(np.float32)
    label[rng.random(label.shape) < 0.2] = -1
    examples = open_examples({"image": np.zeros((40, 2, 2), np.uint8), "label": label})
    there = (label > 0).any(0)
    n = data.draw(st.integers(5, 40))
    part = limit(examples, n, seed=3)
    assert len(part) == n
    assert ((part.labels > 0).any(0) == there).all()
    assert set(limit(examples, data.draw(st.integers(1, n)), seed=3).ids) <= set(part.ids)
    assert limit(examples, n, seed=4).ids != part.ids or n > 30


@pytest.mark.parametrize(
    ("n", "count", "rows"), [(7, 3, [0, 3, 6]), (3, 9, [0, 1, 2]), (4, 1, [0])]
)
def test_every_nth_example_is_taken_until_there_are_so_many(
    n: int, count: int, rows: list[int]
) -> None:
    examples = _examples([0] * n)
    assert examples.spaced(count).ids == tuple(examples.ids[row] for row in rows)
