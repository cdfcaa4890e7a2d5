from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mentee.errors import DataError
from mentee.tasks import TASKS, read_labels


@pytest.mark.parametrize(
    ("values", "options", "numbers", "classes"),
    [
        ([2, 0, 1], {}, [2, 0, 1], ("0", "1", "2")),
        (np.array([1.0, 0.0]), {}, [1, 0], ("0", "1")),
        ([True, False], {}, [1, 0], ("0", "1")),
        ([0, 1], {"names": ["cat", "dog", "owl"]}, [0, 1], ("cat", "dog", "owl")),
        ([0, 1], {"names": ["cat", "dog"], "classes": ["dog", "cat"]}, [1, 0], ("dog", "cat")),
        ([0, 0], {"names": ["cat", "dog"], "classes": ["cat"]}, [0, 0], ("cat",)),
        ([0, 1], {"classes": ["a", "b", "c"]}, [0, 1], ("a", "b", "c")),
        (["dog", "cat", "dog"], {}, [1, 0, 1], ("cat", "dog")),
        (["dog", "cat"], {"classes": ["dog", "owl", "cat"]}, [0, 2], ("dog", "owl", "cat")),
    ],
)
def test_one_class_an_example(
    values: Any, options: dict[str, Any], numbers: list[int], classes: tuple[str, ...]
) -> None:
    labels = read_labels(values, **options)
    assert labels.values is not None
    assert labels.values.dtype == np.int64
    assert labels.values.tolist() == numbers
    assert labels.classes == classes
    assert labels.mask is None


def test_several_classes_and_what_is_unknown() -> None:
    labels = read_labels([[1, 0, -1], [float("nan"), 1, None]], classes=["a", "b", "c"])
    assert labels.values is not None
    assert labels.mask is not None
    assert labels.values.dtype == np.float32
    assert labels.values.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert labels.mask.tolist() == [[True, True, False], [False, True, False]]


def test_shares_are_rounded_and_a_half_is_unknown() -> None:
    labels = read_labels([[0.1, 0.5, 0.51], [0.49, 1.0, -1.0]])
    assert labels.values is not None
    assert labels.mask is not None
    assert labels.values.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert labels.mask.tolist() == [[True, False, True], [True, True, False]]


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([["dog"], [], ["dog", "cat"]], {}),
        ([[1], [], [1, 0]], {"names": ["cat", "dog"], "sets": True}),
    ],
)
def test_lists_of_the_classes_that_apply(values: Any, options: dict[str, Any]) -> None:
    labels = read_labels(values, **options)
    assert labels.values is not None
    assert labels.values.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert labels.classes == ("cat", "dog")
    assert labels.mask is not None
    assert labels.mask.all()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([0, 3], {"names": ["a", "b"]}, "label 3 of row 1 .* out of range: 2 classes .* 0 to 1"),
        ([0, -2], {}, "label -2 of row 1 .* -1 or nothing is unlabeled"),
        ([0.0, float("inf")], {}, "label inf of row 1 is not a whole class number"),
        (["a", 3], {}, "label 3 of row 1 is no name, and others are, such as 'a'"),
        ([["a", None], ["b"]], {}, "row 0 names a class that is empty"),
        (["a", {}], {}, "label {} of row 1 is no name"),
        ([[1, 0], 1], {}, "row 1 has the label 1, and others have several"),
        ([0, {}], {}, "label {} of row 1 is neither a class number nor a class name"),
        (3, {}, "labels are 3; expected one for each example"),
        (np.zeros((2, 2, 2)), {}, r"labels have shape \[2, 2, 2\]"),
        ([0, 50_000_000], {}, "label 50000000 of row 1 is no class number: .* below 1,000,000"),
        ([2**62], {}, "label 4611686018427387904 of row 0 is no class number"),
        ([2**70, 0], {}, "is not a whole class number"),
        ([0.5, 1.0], {"task": TASKS["single"]}, "label 0.5 of row 0 is not a whole class number"),
        (["cat", "dgo"], {"classes": ["cat", "dog"]}, "class 'dgo' .* did you mean 'dog'"),
        ([0, 1], {"names": ["a", "b"], "classes": ["a", "c"]}, "class 'b' .* not among"),
        ([[1, 0], [2, 0]], {}, "label 2 of row 1, class 0 is out of range; expected 1"),
        ([[1, 0], [0, -0.5]], {}, "label -0.5 of row 1, class 1 is out of range"),
        ([[1, 0], [1]], {}, "rows of labels have 1 to 2 numbers"),
        ([[1, 0]], {"classes": ["a"]}, "1 class names for rows of 2 labels"),
        ([0], {"classes": ["a", "a"]}, "a class stands twice"),
    ],
)
def test_labels_that_are_refused(values: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(values, **options)


def test_foreign_names_are_told_in_their_order() -> None:
    foreign = [f"{letter}{number}" for number in (2, 1) for letter in "zyxwv"]
    text = (
        "classes 'v1', 'v2', 'w1', 'w2', 'x1' and 5 more of the source are not among the classes: "
        "known: cat, dog; add them to `classes`, or remove their examples"
    )
    for names in (foreign, foreign[::-1]):
        with pytest.raises(DataError) as refused:
            read_labels([*names, "cat"], classes=["cat", "dog"])
        assert text == str(refused.value)
