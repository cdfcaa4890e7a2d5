"""The fixtures of whole runs, and a student that was trained without labels."""

from __future__ import annotations

from typing import Any

import pytest

from mentee import Run, train
from tests.conftest import _one_thread, begin, digits, file, mentee, teacher

__all__ = ["_one_thread", "begin", "file", "mentee", "teacher"]


def label_free(teacher: dict[str, Any], /, **parts: Any) -> dict[str, Any]:
    """Two epochs of transfer of digits without labels."""
    data = {"label": False, "limit": 320}
    taught = {"teacher": {**teacher, "classes": 10}, "method": "to-teacher", "data": data}
    return digits(**{**taught, **parts})


@pytest.fixture(scope="session")
def run(teacher: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A student that was trained without labels."""
    return train(label_free(teacher), out=tmp_path_factory.mktemp("probed") / "run", quiet=True)
