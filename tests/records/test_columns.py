"""Which numbers of a column are kept, and what is refused because nothing would be saved."""

import pytest

from mentee.errors import DataError
from mentee.records.columns import Column, in_components, with_largest

MEAN = Column(place="stages.0", reduction="mean", shape=(16,), read=(16, 4, 4))
CELLS = Column(place="stages.0", reduction="2x2 cells", shape=(64,), read=(16, 4, 4))
LOGITS = Column(place="logits", reduction="", shape=(1000,), read=(1000,))
ALL = (MEAN, CELLS, LOGITS)


def forms(columns):
    return [(each.kept, each.count, each.stored) for each in columns]


def test_a_number_is_for_all_that_has_more_numbers_but_the_logits():
    assert forms(in_components(ALL, 16)) == [("whole", 0, 16), ("pca", 16, 16), ("whole", 0, 1000)]
    assert forms(in_components(ALL, 8))[0] == ("pca", 8, 8)


def test_a_place_or_a_column_has_a_number_of_its_own():
    chosen = in_components(ALL, {"stages.0 | 2x2 cells": 20, "logits": 30})
    assert forms(chosen) == [("whole", 0, 16), ("pca", 20, 20), ("pca", 30, 30)]
    assert forms(in_components(ALL, {"stages.0": 5}))[:2] == [("pca", 5, 5), ("pca", 5, 5)]


@pytest.mark.parametrize(
    ("pca", "text"),
    [
        (64, r"--pca 64: nothing has more numbers \(stages.0 | mean 16, .*cells 64\)"),
        (0, "--pca 0: "),
        ({"stages.0": 16}, r"stages.0 | mean has 16 numbers, expected 1 to 15"),
        ({"stage.0": 4}, r"nothing is read at 'stage.0'; did you mean 'stages.0'"),
    ],
)
def test_where_nothing_would_be_saved_it_is_said(pca, text):
    with pytest.raises(DataError, match=text):
        in_components(ALL, pca)


@pytest.mark.parametrize(
    ("dtype", "digits"), [("float32", 1), ("float16", 1), ("bfloat16", 2), ("int8", 2)]
)
def test_a_class_has_as_many_digits_as_the_type_needs(dtype, digits):
    top = with_largest(ALL, 10, dtype)[2]
    assert (top.digits, top.stored) == (digits, 10 * (1 + digits) + 1)
    assert with_largest(ALL, 1000, dtype)[2].stored == 1000 * (1 + digits)


def test_logits_that_are_not_read_or_not_there_are_not_kept():
    with pytest.raises(DataError, match=r"--top-k 3: no method reads the logits as they are, only"):
        with_largest((MEAN, CELLS), 3, "float16")
    for k in (0, 1001):
        with pytest.raises(DataError, match=rf"--top-k {k}: there are 1000 logits; expected 1 to"):
            with_largest(ALL, k, "float16")


def test_a_whole_column_says_of_itself_what_it_said_before_there_were_forms():
    said = {"place": "logits", "reduction": "", "shape": [1000], "read": [1000]}
    assert LOGITS.said() == said
    assert Column.model_validate(said) == LOGITS
