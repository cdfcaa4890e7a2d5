"""When each loss counts: terms that come first, weights that rise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mentee.distillation.terms import OWN
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


def times(names: Sequence[str], terms: Mapping[str, Term], steps: int) -> dict[str, Time]:
    """When each loss of a run counts.

    Args:
        names: of all losses.
        terms: the summand of the row behind the name of each bound term.
        steps: of the whole run.

    Returns:
        By name; empty where every loss counts whole all the time.
    """
    firsts = {name: round(term.exclusive_warmup * steps) for name, term in terms.items()}
    end = max(firsts.values(), default=0)
    found = {}
    for name in names:
        term, first = terms.get(name), firsts.get(name, 0)
        start = 0 if first or name.startswith(OWN) else end
        found[name] = Time(start, first or None, round(term.ramp * steps) if term else 0)
    return found if any(time != Time() for time in found.values()) else {}
