"""How a signal stops a command: one line on what is left of it, and 128 + the signal's number."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from mentee.errors import ProcessLostError
from mentee.training.signals import Interrupted, SignalGuard, Terminated, number_of

CTRL_C = 128 + signal.SIGINT
_terminated: list[int] = []  # the signal that `stop_at_once` has treated as Ctrl-C


@contextlib.contextmanager
def interruptible(ctx: Any = None) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into one line on what is left of the command of a context.

    A lost connection to the other processes is one too.
    """
    try:
        yield
    except RuntimeError as error:  # the end of a command is one too, for click
        parallel = sys.modules.get("mentee.parallel")  # with torch, which loads in a second
        if parallel is None or not parallel.connection_lost(error):
            raise
        text = stopped_text(ctx and ctx.invoked_subcommand)
        text = f"another of the {parallel.world()} processes has ended: {text}"
        raise ProcessLostError(text, printed=not parallel.first_to_tell()) from None
    except KeyboardInterrupt as stop:
        text = stopped_text(ctx and ctx.invoked_subcommand)
        raise Interrupted(text, number_of(stop)) from None


def stopped_text(command: str | None) -> str:
    """What is left of a command that a signal has stopped at once."""
    if command not in ("train", "resume"):
        return "stopped; the same command resumes what it had written, if anything"
    if SignalGuard.opened:
        return "stopped at once; mentee resume continues from the newest checkpoint"
    return "stopped before the first step; nothing was saved"


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C, so that what is half done is cleaned up; a second one kills."""
    signal.signal(number, signal.SIG_DFL)
    _terminated.append(number)
    raise Terminated(number)


def exit_code(end: SystemExit) -> Any:
    """The exit status of a command; click takes every signal for Ctrl-C."""
    return 128 + _terminated[0] if end.code == CTRL_C and _terminated else end.code
