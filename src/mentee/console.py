"""Lines for a person: one that cannot be printed stops no work."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings


def print_note(text: str) -> None:
    """Print a line on standard error, where there is one: an error, or a note beside a result."""
    with contextlib.suppress(OSError, ValueError):
        print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr, flush=True)


def print_line(text: object = "") -> None:
    """Print a line at once; where nobody can read it, nothing happens.

    The reader of a pipe may have ended (`| head`), the disk may be full, standard output may be
    closed, or may not have a character.
    """
    try:
        print(text, flush=True)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        print_line(str(text).encode(encoding, "backslashreplace").decode(encoding))
    except (OSError, ValueError) as error:
        _lost.append(error)


_lost: list[Exception] = []
"""Why lines could not be printed."""


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    try:
        return sys.stdout is not None and sys.stdout.isatty()
    except ValueError:  # closed
        return False


def open_output() -> None:
    """Make sure that there is a standard output, which no file of data may take the place of."""
    _lost.clear()
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - as long as the process


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    return f"warning: {' '.join(f'{message}'.split())}\n"


def plain_warnings() -> None:
    """Write each warning as one line, without the place in the code that it is raised at."""
    warnings.formatwarning = _one_line


def has_plain_warnings() -> bool:
    """Whether this process writes warnings so: as a worker of its does then."""
    return warnings.formatwarning is _one_line


def finish_output() -> str | None:
    """Print what is left; why lines were lost, where somebody may miss them."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        _lost.append(error)
        # Else Python tries again while it ends, and fails.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    full = [each for each in _lost if isinstance(each, OSError)]
    full = [each for each in full if not isinstance(each, BrokenPipeError)]
    _lost.clear()
    return full[0].strerror if full else None
