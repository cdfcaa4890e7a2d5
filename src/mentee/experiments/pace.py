"""How far a sweep is, and how long the rest will take at the pace so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from mentee.report import duration


class TimeEstimate:
    """Counts the steps of runs that go on side by side.

    Args:
        steps: of each run that is to be trained.
        clock: seconds.

    Example:
        >>> seconds = iter([0.0, 0.0, 10.0])
        >>> pace = TimeEstimate({"a": 100, "b": 100}, clock=lambda: next(seconds))
        >>> pace.reached("a", 1), pace.reached("a", 51)
        (None, None)
        >>> pace.left()
        '26 % of the steps, about 30 s left'
    """

    def __init__(
        self, steps: Mapping[str, int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.steps = dict(steps)
        self._clock, self._began = clock, clock()
        self._at: dict[str, int] = {}
        self._counted = 0

    def reached(self, name: str, step: int) -> None:
        """A run's newest step; the first that is heard of says where it goes on."""
        if not self._at:
            self._began = self._clock()
        self._counted += step - self._at.get(name, step)
        self._at[name] = step

    def ended(self, name: str) -> None:
        """A run is done with, however it ended."""
        if name in self._at:
            self.reached(name, self.steps[name])
        self._at[name] = self.steps[name]

    def left(self) -> str:
        """The share of the steps that are done, and the time that is left; empty: not known yet."""
        rest = sum(count - self._at.get(name, 0) for name, count in self.steps.items())
        if not self._counted:
            return ""
        seconds = (self._clock() - self._began) / self._counted * rest
        share = 1 - rest / sum(self.steps.values())
        return f"{share:.0%} of the steps, about {duration(seconds)} left".replace("%", " %")
