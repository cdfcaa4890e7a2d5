"""Two processes of one's own, started as a person starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

# `accelerate launch --cpu` starts one process only, unless there is MPI; torchrun starts two.
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def launch(
    *arguments: str | Path,
    cwd: Path,
    launcher: list[str] = LAUNCH,
    program: str = sys.executable,
    **environment: str,
) -> subprocess.Popen[str]:
    """Two processes, or what another launcher starts, in a process group of their own."""
    root = Path(__file__).parents[1]
    more = {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    return subprocess.Popen(
        [program, *launcher, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **more, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What a launch printed, once it has ended well; else all of it is ended, and said."""
    try:
        out, err = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err
    return out
