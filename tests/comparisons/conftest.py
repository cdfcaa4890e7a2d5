"""The fixtures of whole runs, for comparisons of them."""

from __future__ import annotations

from tests.run.conftest import _one_thread, begin, file, mentee, taught, teacher

__all__ = ["_one_thread", "begin", "file", "mentee", "taught", "teacher"]
