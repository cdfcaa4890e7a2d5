"""A signal that comes while a thread's result is waited for leaves no lock behind."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from mentee.threads import held_signals

WAITS = """
import signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from mentee.data.loader import ahead
from mentee.threads import map_in_threads

enter, main, at = threading.Condition.__enter__, threading.get_ident(), int(sys.argv[2])

def interrupted(condition):
    # The moment at which a handler that raises leaves the condition locked.
    global at
    entered = enter(condition)
    if threading.get_ident() == main:
        at -= 1
        if at == 0:
            signal.raise_signal(signal.SIGINT)
    return entered

threading.Condition.__enter__ = interrupted
try:
    if sys.argv[1] == "map":
        with ThreadPoolExecutor(2) as pool:
            print(sum(map_in_threads(pool, lambda i: sum(range(i)), range(9))))
    else:
        print(sum(ahead(iter(range(9)))))
except KeyboardInterrupt:
    print("stopped")
print(threading.active_count())
"""


@pytest.mark.parametrize("how", ["map", "ahead"])
@pytest.mark.parametrize("moment", [1, 12])
def test_an_interrupted_wait_ends(how: str, moment: int) -> None:
    """Wherever it comes; without `held_signals` these wait for ever."""
    done = subprocess.run(
        [sys.executable, "-c", WAITS, how, str(moment)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "stopped\n1\n", done.stderr


def test_signals_are_handled_at_the_end_in_their_order() -> None:
    seen: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [
        signal.signal(number, lambda number, frame: seen.append(number)) for number in numbers
    ]
    try:
        with held_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert seen == []
        assert seen == [signal.SIGTERM, signal.SIGINT]
        signal.raise_signal(signal.SIGINT)
        assert len(seen) == 3
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_an_error_inside_does_not_lose_a_signal() -> None:
    def fail() -> None:
        with held_signals():
            signal.raise_signal(signal.SIGINT)
            raise ValueError

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
