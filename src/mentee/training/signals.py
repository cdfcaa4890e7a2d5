"""How a run stops before its end: by a signal, or by `until`."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """A signal stopped a run, which has saved; the text has the command that resumes it.

    Attributes:
        asked_by_signal: its number, for the exit status 128 + number.
    """

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.asked_by_signal = number


class Terminated(KeyboardInterrupt):
    """SIGTERM outside the steps of a run, treated as Ctrl-C; `args` has its number."""


def number_of(stop: KeyboardInterrupt) -> int:
    """The signal behind a Ctrl-C: SIGTERM where it is `Terminated`."""
    return stop.args[0] if stop.args else signal.SIGINT


class Paused(BaseException):
    """A run has reached `until` and has saved; `resume` continues it.

    Attributes:
        epoch: how many epochs are done.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__(f"paused after epoch {epoch}, as asked; everything is saved")
        self.epoch = epoch


class SignalGuard:
    """While open, remembers the first signal; a second one ends the process as it always does.

    Attributes:
        opened: whether any was, in this process.
        number: of the signal; None: there was none.
    """

    opened = False

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SignalGuard:
        SignalGuard.opened = True
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._put_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            return
        self._put_back()  # not before: another signal may be on its way to this handler
        signal.raise_signal(number)

    def _put_back(self) -> None:
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)
