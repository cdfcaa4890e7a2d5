"""Examples are found by their keys, whatever part of the data a batch numbers its rows by."""

import pytest
import torch

from mentee.errors import DataError
from mentee.teachers.rows import Rows
from mentee.types import Batch
from tests.records.two_processes import images


def batch(examples, rows):
    keys = torch.from_numpy(examples.keys)[rows]
    return Batch(torch.zeros(len(rows), 1), keys, torch.tensor(rows))


def test_rows_are_of_the_examples_the_teacher_was_made_for():
    whole = images(9)
    found = Rows(whole)
    assert found.of(batch(whole, [7, 0])).tolist() == [7, 0]
    part = whole.take([8, 3, 5])
    assert found.of(batch(part, [0, 2])).tolist() == [8, 5]
    assert Rows(part).of(batch(whole, [3, 8])).tolist() == [1, 0]


def test_others_are_refused():
    part = images(9).take([8, 3])
    with pytest.raises(DataError, match="1 of the 2 examples of a batch are none of pictures"):
        Rows(part).of(batch(images(9), [3, 4]))
