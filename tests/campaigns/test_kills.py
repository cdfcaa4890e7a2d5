"""The short form of the campaign of random kills."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs the processes of Linux")
def test_some_random_kills_leave_what_none_leaves(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    # The exit status of a signal within the start of a new interpreter is Python's: none here.
    words = ["--kills", "3", "--most", "3", "--seed", "3", "--only", "train recorded"]
    words += ["--fresh", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.kills", *words, "--work", str(tmp_path / "w")],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    nothing = (
        "0 different files, 0 orphans, 0 locks, 0 left-over files, 0 hangs, 0 tracebacks, "
        "0 wrong exit statuses, 0 refused"
    )
    assert nothing in done.stdout, done.stdout + done.stderr
