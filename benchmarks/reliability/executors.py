"""24 runs on two Ray nodes, of which one is killed, and what Ray costs beside local processes.

    python benchmarks/reliability/executors.py  # two nodes on this machine; writes executors.json

Costs are CPU seconds of all processes, since other work may share the machine: those of a run are
counted between the end of the 8th and of the last one, the rest is the start.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUNS, FIRST = 24, 8
NAMES = [f"resnet8-cifar-none-seed{seed}" for seed in range(RUNS)]
RECIPE = {
    "data": {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 320},
    "student": {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}},
    "train": {"epochs": 2, "batch": 32},
    "save": {"steps": 3, "minutes": None},
}


def processes() -> dict[int, tuple[int, float]]:
    """The parent and the CPU seconds of each process, with those of its children that ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        seconds = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        found[int(path.parent.name)] = int(fields[1]), seconds
    return found


def cpu_seconds() -> float:
    """Of this process and all below it."""
    table = processes()
    below = {os.getpid()}
    while more := {pid for pid, (parent, _) in table.items() if parent in below} - below:
        below |= more
    return sum(table[pid][1] for pid in below)


def measured(executor: str, out: Path) -> dict[str, Any]:
    """CPU and wall seconds of a sweep: of its start, and of each run."""
    from mentee import sweep

    times: dict[int, tuple[float, float]] = {0: (cpu_seconds(), time.monotonic())}

    def say(line: str) -> None:
        if line.endswith(f" of {RUNS})"):
            number = int(line.rpartition("(")[2].split()[0])
            times[number] = cpu_seconds(), time.monotonic()

    found = sweep(RECIPE, ["none"], seeds=RUNS, processes=2, executor=executor, out=out, say=say)
    (cpu, wall), (half, _), (last, end) = (times[each] for each in (0, FIRST, RUNS))
    run = (last - half) / (RUNS - FIRST)
    return {
        "finished": len(found.runs),
        "cpu seconds of a run": round(run, 2),
        "cpu seconds of the start": round(last - cpu - RUNS * run, 1),
        "wall seconds": round(end - wall, 1),
    }


def kill_in_the_midst(raylet: int, out: Path) -> None:
    """Kill a node and the worker that trains a run there, after a third of the runs."""
    while len([*out.glob("*/summary.json")]) < FIRST:
        time.sleep(0.01)
    while True:
        workers = {pid for pid, (parent, _) in processes().items() if parent == raylet}
        for lock in out.glob("*-seed*/.lock"):
            try:
                worker = json.loads(lock.read_text())["pid"]
            except (OSError, ValueError):
                continue
            if worker in workers and [*lock.parent.glob("checkpoints/step-*.pt")]:
                for pid in (raylet, worker):
                    os.kill(pid, signal.SIGKILL)
                return
        time.sleep(0.01)


def weights(out: Path) -> list[bytes]:
    """The student of each run."""
    return [(out / name / "student.safetensors").read_bytes() for name in NAMES]


def main() -> None:
    """Train the runs here, on two nodes, and on two nodes of which one dies."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # its sockets have short paths
    (folder / "ray").mkdir()
    source = str(Path(__file__).parents[2] / "src")
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": source, "RAY_TMPDIR": str(folder)}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"}
    os.environ |= {"RAY_agent_register_timeout_ms": "120000"}
    warnings.simplefilter("ignore")
    from load import machine
    from ray.cluster_utils import Cluster

    from mentee import sweep

    results: dict[str, Any] = {"runs": RUNS, "environment": machine()}
    print(local := measured("local", folder / "local"), flush=True)
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        second = cluster.add_node(num_cpus=1)
        address = f"ray:{cluster.address}"
        print(ray := measured(address, folder / "ray-all"), flush=True)
        lines: list[str] = []
        say: Callable[[str], None] = lines.append
        raylet = second.all_processes["raylet"][0].process.pid
        arguments = (raylet, folder / "killed")
        threading.Thread(target=kill_in_the_midst, args=arguments, daemon=True).start()
        sweep(RECIPE, ["none"], seeds=RUNS, executor=address, out=folder / "killed", say=say)
    finally:
        cluster.shutdown()
    ends = [line.split()[0] for line in lines if line.endswith(f" of {RUNS})")]
    more = ray["cpu seconds of a run"] - local["cpu seconds of a run"]
    results |= {
        "local": local,
        "ray": ray,
        "ray, more a run": round(more, 2),
        "ray, one of two nodes killed": {
            "finished": len([*(folder / "killed").glob("*/summary.json")]),
            "lost and started again": sum("it is started again" in line for line in lines),
            "finished twice": len(ends) - len({*ends}),
            "weights as local": weights(folder / "killed") == weights(folder / "local"),
        },
        "weights of ray as local": weights(folder / "ray-all") == weights(folder / "local"),
    }
    text = json.dumps(results, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
