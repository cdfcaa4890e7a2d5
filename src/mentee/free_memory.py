"""How much memory is free, and a refusal of what does not fit, before it is taken."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from mentee.errors import MenteeError

_CGROUPS = (  # a container's limit, what it uses, and its statistics: version 2, version 1
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def require(size: int, what: str, advice: str) -> None:
    """Refuse what needs more bytes of memory than are free.

    Raises:
        MenteeError: so much is not free; nothing was taken.
    """
    free = available()
    if free is not None and size > free:
        raise MenteeError(
            f"{what} needs {size / 1e9:,.1f} GB of memory and {free / 1e9:,.1f} GB are free; "
            f"{advice}"
        )


@contextlib.contextmanager
def plain_memory_errors(advice: str) -> Iterator[None]:
    """Turn what Python and torch raise where memory is not to be had into one clear error."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        torch_asks = any(
            part in text for part in ("allocate memory", "not enough memory", "out of memory")
        )
        if not isinstance(error, MemoryError) and not torch_asks:
            raise
        size = re.search(r"(\d{4,}) bytes", text)
        much = f" ({int(size[1]) / 1e9:,.1f} GB at once)" if size else ""
        raise MenteeError(f"there is not enough memory{much}; {advice}") from error


def available(root: Path = Path("/")) -> int | None:
    """Bytes of memory that are free without swapping, or None where the system does not tell.

    The least of what the machine has and of what the container is allowed, by `proc` and `sys` in
    `root`; pages of files that are not in use do not count as used.
    """
    limits = []
    machine = _fields(root / "proc/meminfo").get("MemAvailable:")
    if machine is not None:
        limits.append(machine * 1024)
    for limit, used, statistics in _CGROUPS:
        folder = root / "sys/fs/cgroup"
        most, now = (_number(folder / each) for each in (limit, used))
        if most is not None and now is not None:
            stat = _fields(folder / statistics)
            files = stat.get("total_inactive_file", stat.get("inactive_file", 0))
            limits.append(max(most - now + files, 0))
    return min(limits, default=None)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such file, or `max`
        return None


def _fields(path: Path) -> dict[str, int]:
    """`{"MemAvailable:": 1024}` of lines that are a name and a number."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines]
    return {each[0]: int(each[1]) for each in fields if len(each) > 1 and each[1].isdecimal()}
