"""Lines that say how a run goes: live on a terminal, plain elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mentee.console import is_terminal, print_line
from mentee.types import Step


def duration(seconds: float) -> str:
    """Seconds as text.

    Example:
        >>> duration(42.0), duration(135.0), duration(7300.0)
        ('42 s', '2 min 15 s', '2 h 01 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


FIRST_LINE, LINE_INTERVAL = 10.0, 30.0
"""Seconds until the first line within an epoch, and between two of them."""


class Reporter:
    """Prints a line for each epoch, and within long ones; on a terminal also a bar."""

    def __init__(
        self,
        steps: int,
        done: int = 0,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps, self.quiet = steps, quiet
        self._clock, self._next_line = clock, clock() + FIRST_LINE
        self._first, self._spent = done, 0.0
        self._losses: Mapping[str, float] = {}
        live = not quiet and is_terminal()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            transient=True,
            disable=not live,
        )
        self._task = self._bar.add_task("", total=steps, completed=done)

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._bar.stop()

    def step(self, step: Step, seconds: float) -> None:
        """Show a step that took so many seconds, with the newest losses that have been read."""
        self._spent += seconds
        if step.is_read:
            self._losses = step.losses
        if self.quiet or (self._bar.disable and self._clock() < self._next_line):
            return
        left = self.left(step.number)
        text = f"step {step.number}/{self.steps}  {loss_text(self._losses)}  {left}".rstrip()
        if self._bar.disable:
            self.say(text)
            self._next_line = self._clock() + LINE_INTERVAL
        else:
            self._bar.update(self._task, completed=step.number, description=text)

    def expect(self, steps: int) -> None:
        """Change the number of steps of the whole run."""
        self.steps = steps
        self._bar.update(self._task, total=steps)

    def left(self, done: int) -> str:
        """The estimated time of the remaining steps."""
        paced = done - self._first
        if paced == 0:
            return ""
        return f"{duration(self._spent / paced * (self.steps - done))} left"

    def epoch(
        self, number: int, epochs: int, losses: Mapping[str, float], score: str, done: int
    ) -> None:
        """Print the line of an epoch."""
        parts = (f"epoch {number:>3}/{epochs}", loss_text(losses), score, self.left(done))
        self.say("  ".join(part for part in parts if part))
        self._next_line = self._clock() + LINE_INTERVAL

    def say(self, text: str) -> None:
        """Print a line."""
        if self.quiet:
            return
        if self._bar.disable:
            print_line(text)
        else:
            with contextlib.suppress(OSError):  # the terminal was closed
                self._bar.console.print(text, highlight=False, markup=False)


class RowProgress:
    """Prints how many rows of a record are done, now and then."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._began, self._first = clock(), 0
        self._next_line = self._began + FIRST_LINE

    def __call__(self, done: int, rows: int) -> None:
        """Note that so many of all rows are done."""
        now = self._clock()
        if not self._first:  # what was there already took no time
            self._first, self._began = done, now
        if now < self._next_line or done == self._first:
            return
        self._next_line = now + LINE_INTERVAL
        left = (now - self._began) / (done - self._first) * (rows - done)
        self._say(f"{done:,} of {rows:,} rows, about {duration(left)} left")


def loss_text(losses: Mapping[str, float]) -> str:
    """The losses, with those of one kind at several layers summed.

    Example:
        >>> loss_text({"contrast/stem": 1.0, "contrast/embedding": 2.5, "task": 0.25})
        'contrast 3.500  task 0.250'
    """
    kinds: dict[str, float] = {}
    for name, value in losses.items():
        kind = name.partition("/")[0]
        kinds[kind] = kinds.get(kind, 0.0) + value
    return "  ".join(f"{kind} {value:.3f}" for kind, value in kinds.items())
