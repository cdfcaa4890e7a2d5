"""What transfer is worth on CIFAR-10: ResNet-20 → ResNet-8 on 5,000 labeled images.

Every row has the same recipe (`cifar10-laptop`), images, order of examples and initial weights per
seed; the weights are chosen on validation, the test split is read once per run. Finished runs stay
in `runs/` and are not repeated, so an interrupted benchmark resumes where it was.

    python benchmarks/quality/cifar10.py --teacher resnet20-cifar10.safetensors
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROWS = ("none", "kd", "crd", "crd-bank", "cktf", "cktf+kd", "cktf-bank", "cktf-bank+kd")
HERE = Path(__file__).parent
RUNS = Path("runs/quality-cifar10")


def run(name: str, seed: int, epochs: int, teacher: str, threads: int) -> dict:
    """Train one row with one seed in a process of its own, or read what it gave before."""
    folder = RUNS / f"{name}-{epochs}-seed{seed}"
    if not (folder / "summary.json").is_file():
        changes = {
            "method": name,
            "train.seed": seed,
            "train.epochs": epochs,
            "teacher.weights": teacher,
        }
        mentee = [sys.executable, "-m", "mentee.cli"]
        command = [*mentee, "train", "cifar10-laptop", "--out", str(folder)]
        for key, value in changes.items():
            command += ["--set", f"{key}={value}"]
        if any((folder / "checkpoints").glob("step-*")):
            command = [*mentee, "resume", str(folder)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, env=environment, check=True)
        print(f"done: {folder.name}", flush=True)
    return json.loads((folder / "summary.json").read_text()) | {
        "environment": json.loads((folder / "environment.json").read_text())
    }


def row(name: str, runs: list[dict], scratch: list[dict]) -> dict:
    """Mean, spread and paired difference to scratch of one method, in per cent."""
    result = [100 * each["test"]["accuracy"] for each in runs]
    pairs = [a - 100 * b["test"]["accuracy"] for a, b in zip(result, scratch, strict=True)]
    return {
        "row": name,
        "accuracy": [round(value, 2) for value in result],
        "mean": round(statistics.mean(result), 2),
        "spread": round(statistics.stdev(result), 2),
        "above_scratch": round(statistics.mean(pairs), 2),
        "above_scratch_spread": round(statistics.stdev(pairs), 2),
        "calibration_error": round(statistics.mean(each["test"]["ece"] for each in runs), 4),
        "seconds_per_epoch": round(statistics.mean(r["seconds_per_epoch"] for r in runs), 1),
        "selected_epoch": [each["selected"]["epoch"] for each in runs],
        "commits": sorted({str(each["environment"]["commit"]) for each in runs}),
    }


def main() -> None:
    """Run every method with every seed, a few processes at a time, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=HERE / "cifar10.json")
    options = parser.parse_args()
    threads = max(1, (os.cpu_count() or 1) // options.processes)
    jobs = [(name, seed) for seed in range(options.seeds) for name in options.rows]
    with ThreadPoolExecutor(options.processes) as pool:
        done = dict(
            zip(
                jobs,
                pool.map(lambda job: run(*job, options.epochs, options.teacher, threads), jobs),
                strict=True,
            )
        )
    of = {name: [done[name, seed] for seed in range(options.seeds)] for name in options.rows}
    first = of["none"][0]
    content = {
        "what": "test accuracy in per cent of ResNet-8 on CIFAR-10, 5,000 labeled images, "
        f"teacher ResNet-20, {options.epochs} epochs, seeds 0 to {options.seeds - 1}",
        "rows": [row(name, runs, of["none"]) for name, runs in of.items()],
        "teacher": of["kd"][0]["teacher"],
        "parameters": of["kd"][0]["parameters"],
        "examples": first["examples"],
        "processes": options.processes,
        "threads": threads,
        "environment": {
            key: value
            for key, value in first["environment"].items()
            if key in ("mentee", "python", "packages", "platform", "cores", "data")
        },
        "command": "python benchmarks/quality/cifar10.py --teacher TEACHER "
        f"--epochs {options.epochs} --seeds {options.seeds} --processes {options.processes} "
        f"--rows {' '.join(options.rows)}",
    }
    options.out.write_text(json.dumps(content, indent=2) + "\n")
    for each in content["rows"]:
        print(each)


if __name__ == "__main__":
    main()
