"""The student's vector in the teacher's space."""

import pytest
import torch

from mentee.errors import MenteeError
from mentee.representations import PairInfo, to_teacher


def test_only_the_students_side_is_trained():
    ours, theirs = to_teacher(
        (4, 3, 3), (7,), pair_info=PairInfo(), scale="none", head="mlp", hidden=5
    )
    assert [tuple(p.shape) for p in ours.parameters()] == [(5, 4), (5,), (7, 5), (7,)]
    assert not list(theirs.parameters())
    x = torch.randn(2, 7)
    assert theirs(theirs.precompute(x)) is x
    assert ours(ours.precompute(torch.randn(2, 4, 3, 3))).shape == (2, 7)


def test_a_hidden_layer_has_entries():
    with pytest.raises(MenteeError, match="hidden is 0, expected at least 1"):
        to_teacher((4,), (7,), pair_info=PairInfo(), scale="none", head="mlp", hidden=0)
