"""How a run is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mentee.console import print_line
from mentee.parallel import rank
from mentee.types import Step


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; its results do not depend on it.

    Attributes:
        quiet: print nothing.
        on_step: called with each step.
        until: pause after so many epochs in all; None: train to the end.
        wait: until another process that is at work in the run's folder has ended.
        inspect: read all examples once before, and tell what was found.
    """

    quiet: bool = False
    on_step: Callable[[Step], None] | None = None
    until: int | None = None
    wait: bool = False
    inspect: bool = True

    @property
    def describe_data(self) -> Callable[[str], None] | None:
        """What is called with each line of what is found in the data; None: do not look."""
        return self._say if self.inspect else None

    def _say(self, line: str) -> None:
        if not self.quiet and rank() == 0:
            print_line(line)


QUIET = RunOptions(quiet=True, inspect=False)
