"""A regression, and a student whose layers take part in few terms, in two processes as in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Two, ended
from tests.training import two_regressions


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("room")
    two_regressions.teach(room)
    ended(Two(two_regressions.__file__, room, cwd=room))
    return room


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("several", {"task", "mse/logits~logits.a", "mse/logits~logits.b"}),
        ("recorded", {"task", "mse/logits"}),
        ("idle", {"task", "cka/side~embedding"}),
    ],
)
def test_two_processes_are_one(name: str, terms: set[str], room: Path, tmp_path: Path) -> None:
    theirs: dict[str, Any] = json.loads((room / "found.json").read_text())[name]
    ours = two_regressions.case(room, name, tmp_path)
    assert len(ours["losses"]) == len(theirs["losses"]) == 4
    for mine, other in zip(ours["losses"], theirs["losses"], strict=True):
        assert set(mine) == set(other) == terms
        assert other == pytest.approx(mine, rel=1e-5, abs=1e-5)
    assert theirs["weights"] == pytest.approx(ours["weights"], rel=1e-4, abs=1e-4)
