"""What a record of eight views costs in accuracy against a live teacher: CIFAR-10, KD.

The recipe `cifar10-laptop` with `kd`, ResNet-20 → ResNet-8 on 5,000 labeled images. `live`: a new
view in every epoch. `views=8`: a float16 record of eight views. `views=8, int8`: the same in int8.
`clean`: the teacher's outputs for the clean example are used for every view, a mismatch that the
recipe has to request. Modes of one seed have the same images, order and initial weights; all take
equal steps. Finished runs stay in `runs/` and not repeated.

    python benchmarks/quality/records.py --teacher resnet20-cifar10.safetensors
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from compare import difference, mean, spread

HERE, RUNS = Path(__file__).parent, Path("runs/quality-records")
ROWS: dict[str, str | None] = {
    "live": None,
    "views=8": "float16",
    "clean": "float16",
    "views=8, int8": "int8",
}


def recipe(row: str, seed: int, epochs: int, teacher: str) -> list[str]:
    """The changes of `cifar10-laptop` for one run."""
    changes = ["method=kd", f"train.seed={seed}", f"train.epochs={epochs}"]
    if ROWS[row] is None:
        return [*changes, f"teacher.weights={teacher}"]
    text = {"record": str(RUNS / f"record-{ROWS[row]}"), "clean": row == "clean"}
    return [*changes, f"teacher={json.dumps(text)}"]


def run(row: str, seed: int, epochs: int, teacher: str) -> dict[str, Any]:
    """Train one row with one seed, or read what it gave before."""
    import mentee

    folder = RUNS / f"{row.replace(', ', '-')}-{epochs}-seed{seed}"
    if not (folder / "summary.json").is_file():
        changes = recipe(row, seed, epochs, teacher)
        mentee.train("cifar10-laptop", out=folder, changes=changes, quiet=True)
        print(f"done: {folder.name}", flush=True)
    environment = json.loads((folder / "environment.json").read_text())
    return json.loads((folder / "summary.json").read_text()) | {"environment": environment}


def table(of: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Mean, spread and paired difference to `live` of each row, in per cent."""
    results = {name: [100 * r["test"]["accuracy"] for r in runs] for name, runs in of.items()}
    lines = []
    for name, values in results.items():
        gain = difference(values, results["live"])
        lines.append(
            {
                "row": name,
                "reading": of[name][0]["reading"],
                "accuracy": [round(v, 2) for v in values],
                "mean": round(mean(values), 2),
                "spread": round(spread(values), 2),
                "above_live": {"mean": round(gain.mean, 2), "half": round(gain.half, 2)},
            }
        )
    return lines


def main() -> None:
    """Record, train every row with every seed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    options = parser.parse_args()
    os.environ.setdefault(
        "OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // options.processes))
    )
    import mentee

    lines: list[str] = []
    for dtype in sorted({dtype for row in options.rows if (dtype := ROWS[row])}):
        mentee.record_network(
            "cifar10-laptop",
            RUNS / f"record-{dtype}",
            views=8,
            dtype=dtype,
            changes=["method=kd", f"teacher.weights={options.teacher}", "train.seed=0"],
            say=lines.append,
        )
    print(*lines, sep="\n", flush=True)
    jobs = [(row, seed) for seed in range(options.seeds) for row in options.rows]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        futures = {job: pool.submit(run, *job, options.epochs, options.teacher) for job in jobs}
        done = {job: future.result() for job, future in futures.items()}
    of = {row: [done[row, seed] for seed in range(options.seeds)] for row in options.rows}
    first = of["live"][0]["environment"]
    content = {
        "what": "test accuracy in per cent of ResNet-8 on CIFAR-10, 5,000 labeled images, KD "
        f"from ResNet-20, {options.epochs} epochs, seeds 0 to {options.seeds - 1}",
        "rows": table(of),
        "processes": options.processes,
        "commits": sorted({str(r["environment"]["commit"]) for runs in of.values() for r in runs}),
        "environment": {
            key: first[key] for key in ("mentee", "python", "packages", "platform", "cores")
        },
        "command": "python benchmarks/quality/records.py --teacher TEACHER "
        f"--epochs {options.epochs} --seeds {options.seeds} --processes {options.processes} "
        f"--rows {' '.join(map(repr, options.rows))}",
    }
    (HERE / "records.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    for each in content["rows"]:
        print(each)


if __name__ == "__main__":
    main()
