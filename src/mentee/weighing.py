"""What each loss weighs in a step: terms that come first, weights that rise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mentee.bound import OWN
from mentee.methods import Term


@dataclass(frozen=True)
class Time:
    """When a loss counts.

    Attributes:
        start: steps done before the first one in which it counts.
        stop: steps done before the first one in which it counts no more; None: there is none.
        rise: over how many steps its weight rises in a line from 0.
    """

    start: int = 0
    stop: int | None = None
    rise: int = 0

    def share(self, step: int) -> float:
        """Of its weight, in a step; `step` steps are done.

        Example:
            >>> [Time(start=2, rise=4).share(step) for step in (1, 2, 3, 5, 6)]
            [0.0, 0.25, 0.5, 1.0, 1.0]
        """
        if step < self.start or (self.stop is not None and step >= self.stop):
            return 0.0
        return min(1.0, (step - self.start + 1) / self.rise) if self.rise else 1.0


class Weighing:
    """The weights of a bound method.

    Args:
        terms: the summand of the row behind the name of each bound term.
        said: what each loss weighs when it counts: the terms, `task`, and the sides' own losses.
    """

    def __init__(self, terms: Mapping[str, Term], said: Mapping[str, float]) -> None:
        self.said = dict(said)
        self._terms = dict(terms)
        self._times: dict[str, Time] = {}

    def over(self, steps: int) -> None:
        """Set the run's steps; where they are not known, every loss counts whole all the time.

        Args:
            steps: of the whole run.
        """
        firsts = {name: round(term.first * steps) for name, term in self._terms.items()}
        end = max(firsts.values(), default=0)
        times = {}
        for name in self.said:
            term, first = self._terms.get(name), firsts.get(name, 0)
            start = 0 if first or name.startswith(OWN) else end
            times[name] = Time(start, first or None, round(term.rise * steps) if term else 0)
        self._times = times if any(time != Time() for time in times.values()) else {}

    def at(self, step: int) -> dict[str, float]:
        """What each loss weighs in a step.

        Args:
            step: steps done.
        """
        if not self._times:
            return self.said
        return {name: w * self._times[name].share(step) for name, w in self.said.items()}

    def listens(self, step: int) -> bool:
        """Whether the teacher is needed in a step."""
        weights = self.at(step)
        return any(weights[name] for name in self._terms)
