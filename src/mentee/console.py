"""Lines for a person: one that cannot be printed stops no work."""

from __future__ import annotations

import sys


def print_line(text: object) -> None:
    """Print a line at once; where nobody can read it, nothing happens.

    The reader of a pipe may have ended (`| head`), the disk may be full, standard output may be
    closed, or may not have a character.
    """
    try:
        print(text, flush=True)
    except UnicodeEncodeError:
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        print_line(str(text).encode(encoding, "backslashreplace").decode(encoding))
    except (OSError, ValueError):
        pass
