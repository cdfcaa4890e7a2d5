"""How a run is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mentee.types import Step


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; its results do not depend on it.

    Attributes:
        quiet: print nothing.
        on_step: called with each step.
        until: pause after so many epochs in all; None: train to the end.
        wait: until another process that is at work in the run's folder has ended.
    """

    quiet: bool = False
    on_step: Callable[[Step], None] | None = None
    until: int | None = None
    wait: bool = False


QUIET = RunOptions(quiet=True)
