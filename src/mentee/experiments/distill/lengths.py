"""How long runs are, so that a search ends in the minutes that it has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mentee.experiments.distill.halving import third
from mentee.experiments.distill.pace import Pace
from mentee.experiments.distill.plan import Clock, Request
from mentee.experiments.distill.trials import JOINED
from mentee.experiments.search import FACTOR

SEARCH_SHARE, RECORD_SHARE = 0.4, 0.15
"""Of the time, for the search, and at most for the record."""
LONG_SHARE, LONGER = 0.45, 2
"""Of the time that is left after the search, for the long run; and its epochs, as a multiple of
those of the last runs, at least."""
MOST_SEEDS = 10
"""Of the last runs, where their epochs are the most and time is left."""
LEAST_EPOCHS, LEAST_STEPS = 2, 30
"""Of a run, at least."""
MOST_EPOCHS, MOST_STEPS = 300, 3000
"""Of a run, at most; what is more of the two."""
MOST_RUNGS = 3
EXPORTS = 1.5
"""The time of the file, its comparison and int8, as a multiple of that of a student's latency."""


class Lengths:
    """The epochs of all runs. With `minutes` each is set when it is needed, and stays as it is.

    Args:
        request: minutes, or epochs.
        clock: of the search.
        parallel: runs that train at once.
        students: whose latency is measured.
        saved: of an earlier call.

    Attributes:
        content: of `distill.json`: `longest`, the most epochs of a run, `configurations` that there
            is time for, the epochs of the `rungs`, of the longest one when it is known (`search`),
            of the last runs (`final`) and their `seeds`, of the long run (`long`; 0: none).
    """

    def __init__(
        self, request: Request, clock: Clock, parallel: int, students: int, saved: dict[str, Any]
    ) -> None:
        self.minutes, self.epochs, self.seeds = request.minutes, request.epochs, request.seeds
        self.clock, self.parallel, self.students, self.content = clock, parallel, students, saved

    @property
    def rungs(self) -> list[int]:
        """The epochs of each rung, as far as they are set."""
        rungs: list[int] = self.content["rungs"]
        return rungs

    def set_all(self, configurations: int, batches: int) -> None:
        """Set all lengths by `epochs`; an epoch has so many batches."""
        final = int(self.epochs or 0)
        least = min(shortest(batches), final)
        longest = max(least, final // 2)
        self.content |= {"configurations": configurations, "rungs": rungs(longest, least)}
        self.content |= {"search": longest, "final": final}

    def set_first(
        self,
        pace: Pace,
        configurations: int,
        least: int,
        kept: Callable[[int], int],
        final: int,
        batches: int,
    ) -> bool:
        """Set how many configurations there is time for, and their epochs.

        Args:
            pace: of a run.
            configurations: that there are.
            least: of them are tried in any case.
            kept: how many of the first n pass in any case.
            final: how many last runs there will be.
            batches: of an epoch.

        Returns:
            Whether there is time for the shortest runs.
        """
        self.content["longest"] = most_epochs(batches)
        seconds, epochs = self._search_seconds(), None
        last = self._last(pace, seconds, final)
        for count in range(configurations, least - 1, -1):
            epochs = self._next(
                pace, seconds, last, count + JOINED, kept(count), shortest(batches), MOST_RUNGS
            )
            if epochs is not None:
                break
        self.content |= {"configurations": count, "rungs": [epochs or shortest(batches)]}
        return epochs is not None and last >= shortest(batches)

    def set_next(self, pace: Pace, configurations: int, kept: int, final: int) -> None:
        """Set the next rung, of so many configurations, or that there is none."""
        left, least = MOST_RUNGS - len(self.rungs), math.ceil(1.5 * self.rungs[-1])
        seconds = self._search_seconds()
        last = self._last(pace, seconds, final)
        epochs = self._next(pace, seconds, last, configurations, kept, least, left)
        if epochs is None:
            self.content["search"] = self.rungs[-1]
        else:
            self.rungs.append(epochs)

    def last_epochs(self, pace: Pace, runs: int) -> float:
        """The epochs of so many last runs of a pace, if the search takes its seconds."""
        return self._last(pace, self._search_seconds(), runs)

    def set_final(self, pace: Pace, configurations: int) -> None:
        """Set the epochs of the last runs of so many configurations, and their seeds.

        There are more seeds than asked for where the runs are as long as they may be.
        """
        runs = configurations * self.seeds
        epochs = int(max(self._last(pace, 0.0, runs), self.rungs[-1]))
        long = self._long(pace, self.seconds_left())
        spent = pace.seconds(long) if long >= LONGER * epochs else 0.0
        turns = (self.seconds_left() - spent) // pace.seconds(epochs)
        seeds = int(turns * self.parallel // configurations)
        self.content |= {"final": epochs, "seeds": max(self.seeds, min(seeds, MOST_SEEDS))}

    def set_long(self, pace: Pace) -> None:
        """Set the epochs of the long run, or that there is none."""
        epochs = int(min(self._longest, pace.longest(self.seconds_left(), [1], [1.0])))
        self.content["long"] = epochs if epochs >= LONGER * self.content["final"] else 0

    def turns(self, runs: int) -> int:
        """How many of so many runs follow one another."""
        return math.ceil(runs / self.parallel)

    def seconds_left(self) -> float:
        """Until the export begins."""
        return 60 * (self.minutes or 0) - self._export_seconds() - self.clock.now

    def _search_seconds(self) -> float:
        """Those that are left for the search."""
        began = self.clock.parts["labels"][0]
        whole = self.seconds_left() + self.clock.now - began
        return SEARCH_SHARE * whole - (self.clock.now - began)

    @property
    def _longest(self) -> int:
        return int(self.content.get("longest", MOST_EPOCHS))

    def _export_seconds(self) -> float:
        """About those that the export takes."""
        return EXPORTS * self.clock.seconds("latency") / self.students

    def _last(self, pace: Pace, search: float, runs: int) -> float:
        """The epochs that so many last runs have time for, where the search takes its seconds.

        They get all the time where a long run beside them could not be `LONGER`, or they would be
        too short.
        """
        seconds, turns = self.seconds_left() - search, self.turns(runs)
        long = self._long(pace, seconds)
        beside = pace.longest(seconds - pace.seconds(long), [turns], [1.0])
        if long >= LONGER * beside and beside >= LEAST_EPOCHS:
            return beside
        return min(self._longest, pace.longest(seconds, [turns], [1.0]))

    def _long(self, pace: Pace, seconds: float) -> float:
        """The epochs of a long run in its share of so many seconds."""
        return min(self._longest, pace.longest(LONG_SHARE * seconds, [1], [1.0]))

    def _next(
        self, pace: Pace, seconds: float, last: float, runs: int, kept: int, least: int, most: int
    ) -> int | None:
        """The epochs of the next of at most so many rungs; None: there is no time for `least`.

        The longest rung has at most the epochs of the last runs.
        """
        for number in range(most, 0, -1):
            counts = [runs]
            while len(counts) < number:
                counts.append(min(counts[-1], third(counts[-1]) + kept))
            shares = [FACTOR ** -(number - 1 - i) for i in range(number)]
            longest = pace.longest(seconds, [self.turns(n) for n in counts], shares)
            epochs = int(min(longest, last, self._longest) * shares[0])
            if epochs >= least:
                return epochs
        return None


def shortest(batches: int) -> int:
    """The least epochs of a run, of so many steps each.

    Example:
        >>> shortest(100), shortest(4)
        (2, 8)
    """
    return max(LEAST_EPOCHS, math.ceil(LEAST_STEPS / batches))


def most_epochs(batches: int) -> int:
    """The most epochs of a run, of so many steps each.

    Example:
        >>> most_epochs(100), most_epochs(2)
        (300, 1500)
    """
    return max(MOST_EPOCHS, math.ceil(MOST_STEPS / batches))


def rungs(longest: int, least: int) -> list[int]:
    """The epochs of the rungs: the last one's, a third of it, a ninth, as far as it is possible.

    Example:
        >>> rungs(18, 2), rungs(11, 2), rungs(3, 2)
        ([2, 6, 18], [4, 11], [3])
    """
    result = [longest]
    while len(result) < MOST_RUNGS and round(result[0] / FACTOR) >= least:
        result.insert(0, round(result[0] / FACTOR))
    return result
