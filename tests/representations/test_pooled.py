"""Vectors and frames without heads."""

import pytest
import torch

from mentee.errors import PairError
from mentee.representations import PairInfo, frames, pooled
from mentee.types import Statistics


def test_an_entry_that_hardly_changes_is_not_divided():
    result = Statistics(torch.zeros(3), torch.tensor([2.0, 0.0, 1e-9]), torch.eye(3), torch.ones(3))
    _, side = pooled((4,), (3,), pair_info=PairInfo(measure=lambda: result), scale="standard")
    output = side(side.precompute(torch.tensor([[4.0, 0.5, 0.25]])))
    assert output.tolist() == [[2.0, 0.5, 0.25]]


def test_frames_of_other_rates_are_repeated_and_cut():
    """As papers on embeddings as teachers do: the slower side stands repeated."""
    s_adapter, t_adapter = frames((2, 1, 7), (3, 5))
    x = torch.arange(14.0).reshape(1, 2, 1, 7)
    y = torch.arange(15.0).reshape(1, 3, 5)
    s_output, other = s_adapter(s_adapter.precompute(x)), t_adapter(t_adapter.precompute(y))
    assert s_output[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert other[0, :, 0].tolist() == [0, 0, 5, 5, 10, 10]


def test_the_factors_can_be_said():
    s_adapter, t_adapter = frames((2, 1, 3), (2, 5), student_repeat=2, teacher_repeat=6)
    assert s_adapter(s_adapter.precompute(torch.zeros(1, 2, 1, 3))).shape == (1, 6, 2)
    assert t_adapter(t_adapter.precompute(torch.zeros(1, 2, 5))).shape == (1, 6, 5)


@pytest.mark.parametrize(
    ("student", "teacher", "who"), [((8,), (4, 6), "student"), ((4, 6), (8,), "teacher")]
)
def test_a_vector_has_no_frames(student, teacher, who):
    with pytest.raises(PairError, match=f"the {who}'s feature is one vector of 8"):
        frames(student, teacher)
