"""How a teacher's vectors are distributed is measured once for all runs of a command."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mentee.build.datasets import cache_sources
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.recipe import read
from mentee.teachers import online
from tests.conftest import digits


def test_a_teacher_is_measured_once(
    teacher: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other examples are measured anew, and what is kept is what would be measured."""
    calls, measure = [], online.measure

    def counted(*arguments: Any) -> online.Measured:
        calls.append(arguments)
        return measure(*arguments)

    monkeypatch.setattr(online, "measure", counted)

    def weights(**data: Any) -> dict[str, torch.Tensor]:
        recipe = digits(teacher=teacher, method="to-teacher", data={"limit": 40, **data})
        return build(read(recipe), PythonOverrides()).module.state_dict()

    alone = weights()
    with cache_sources():
        first, second = weights(), weights()
        assert len(calls) == 2
        other = weights(limit=50)
        assert len(calls) == 3
    assert all(
        value.equal(first[name]) and value.equal(second[name]) for name, value in alone.items()
    )
    assert not all(value.equal(other[name]) for name, value in alone.items())
