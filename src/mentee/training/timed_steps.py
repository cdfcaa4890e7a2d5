"""How long each step takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from mentee.types import Step


def timed(steps: Iterator[Step]) -> Iterator[tuple[Step, float]]:
    """Each step with the seconds it took, without those that the caller takes in between."""
    began = time.perf_counter()
    for step in steps:
        yield step, time.perf_counter() - began
        began = time.perf_counter()
