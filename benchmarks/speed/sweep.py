"""A sweep of 5 methods × 3 seeds with one record, against the same 15 runs with a live teacher.

The recipe `cifar10-laptop` (ResNet-8 student, 5,000 images), in three ways, each in a process of
its own with the machine's default threads:

* `one by one`: `mentee.train` 15 times, the teacher live;
* `side by side`: `mentee sweep --live`: the same runs, the cores divided;
* `sweep`: `mentee sweep`: the same with a record; recording counts.

It is scaled down from 20 epochs and 8 views to 2 epochs and 1 view. So recording costs more of it
than of a whole sweep (2 passes of the teacher for 2 epochs, not 9 for 20), and so does what a sweep
saves by decoding images once a process and not once a run. The test part is left out: read once a
run, it would weigh ten times as much as in 20 epochs. The heavier teacher has random weights, since
its cost is all that counts here.

    MENTEE_MODELS=... MENTEE_DATA=... python benchmarks/speed/sweep.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import environment
from safetensors.torch import save_file

from mentee import models, sweep, train

METHODS = "kd,crd-bank,cktf-bank,cktf-bank+kd,similarity"
BASE = "one by one"
WAYS = {"resnet20-cifar": (BASE, "side by side", "sweep"), "resnet56-cifar": (BASE, "sweep")}


def weights_of(network: str, folder: Path) -> Path:
    """The trained ResNet-20 of `MENTEE_MODELS`; random weights of any other network."""
    if network == "resnet20-cifar":
        return Path(os.environ["MENTEE_MODELS"]) / "resnet20-cifar10.safetensors"
    path = folder / f"{network}.safetensors"
    save_file(models.build(network, classes=10, seed=0).state_dict(), path)
    return path


def changes(network: str, weights: Path, options: argparse.Namespace) -> list[str]:
    """What is changed of the recipe."""
    return [
        f"teacher.network={network}",
        f"teacher.weights={weights}",
        f"train.epochs={options.epochs}",
        f"data.limit={options.limit}",
        "data.test=null",
    ]


def one_by_one(options: argparse.Namespace, changed: list[str], out: Path) -> None:
    """All runs in one process, each from the beginning."""
    for method in options.methods.split(","):
        for seed in range(options.seeds):
            own = [*changed, f"method={method}", f"train.seed={seed}"]
            train("cifar10-laptop", changes=own, out=out / f"{method}-{seed}", quiet=True)


def do(options: argparse.Namespace, way: str, changed: list[str], out: Path) -> dict[str, float]:
    """One way, in this process; says when the record was there."""
    began, recorded = time.perf_counter(), {}

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if line.startswith("recorded"):
            recorded["recorded_after_s"] = round(time.perf_counter() - began, 1)

    if way == BASE:
        one_by_one(options, changed, out)
        return recorded
    result = sweep(
        "cifar10-laptop",
        options.methods.split(","),
        seeds=options.seeds,
        changes=changed,
        out=out,
        say=say,
        **({"live": True} if way == "side by side" else {"views": options.views}),
    )
    if result.failed:
        raise SystemExit(f"failed: {result.failed}")
    return recorded


def measured(options: argparse.Namespace, way: str, changed: list[str]) -> dict[str, float]:
    """Wall and CPU seconds of one way, all its processes and their start included."""
    with tempfile.TemporaryDirectory() as folder:
        requested = json.dumps([way, changed, f"{folder}/runs"])
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, *sys.argv, "--do", requested],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), **json.loads(done.stdout)}


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--limit", type=int, default=5000)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--teachers", default=",".join(WAYS))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--do", help="one way, for the processes that this starts")
    options = parser.parse_args()
    if options.do:
        way, changed, out = json.loads(options.do)
        print(json.dumps(do(options, way, changed, Path(out))))
        return
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for network in options.teachers.split(","):
            changed = changes(network, weights_of(network, Path(folder)), options)
            rows = {way: measured(options, way, changed) for way in WAYS[network]}
            for each in rows.values():
                each["times_wall"] = round(rows[BASE]["wall_s"] / each["wall_s"], 2)
                each["times_cpu"] = round(rows[BASE]["cpu_s"] / each["cpu_s"], 2)
            result[network] = rows
            print(network, json.dumps(rows), flush=True)
    content = {
        "what": f"each of the methods × {options.seeds} seeds, ResNet-8 student, CIFAR-10, "
        f"{options.limit} images, {options.epochs} epochs; "
        f"recorded: clean and {options.views} view(s)",
        "methods": options.methods.split(","),
        "teachers": result,
        "command": sys.argv,
        "environment": environment(),
    }
    options.out.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
