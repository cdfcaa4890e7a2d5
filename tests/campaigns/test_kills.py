"""The short form of the campaign of random kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import ended, start


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs the processes of Linux")
def test_some_random_kills_leave_what_none_leaves(tmp_path: Path) -> None:
    # The exit status of a signal within the start of a new interpreter is Python's: none here.
    words = ["--kills", "3", "--most", "3", "--seed", "3", "--only", "train recorded"]
    words += ["--fresh", "0"]
    said = ended(start("-m", "tests.campaigns.kills", *words, "--work", tmp_path / "w"))
    nothing = (
        "0 different files, 0 orphans, 0 locks, 0 left-over files, 0 hangs, 0 tracebacks, "
        "0 wrong exit statuses, 0 refused"
    )
    assert nothing in said
