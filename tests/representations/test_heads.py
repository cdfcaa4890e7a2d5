"""The student's vector in the teacher's space."""

import pytest
import torch

from mentee.errors import MenteeError
from mentee.representations import PairInfo, to_teacher


def test_only_the_students_side_is_trained():
    s_adapter, t_adapter = to_teacher(
        (4, 3, 3), (7,), pair_info=PairInfo(), scale="none", head="mlp", hidden=5
    )
    assert [tuple(p.shape) for p in s_adapter.parameters()] == [(5, 4), (5,), (7, 5), (7,)]
    assert not list(t_adapter.parameters())
    x = torch.randn(2, 7)
    assert t_adapter(t_adapter.precompute(x)) is x
    assert s_adapter(s_adapter.precompute(torch.randn(2, 4, 3, 3))).shape == (2, 7)


def test_a_hidden_layer_has_entries():
    with pytest.raises(MenteeError, match="hidden is 0, expected at least 1"):
        to_teacher((4,), (7,), pair_info=PairInfo(), scale="none", head="mlp", hidden=0)
