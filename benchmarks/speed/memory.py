"""Memory: of CKTF's contrast as batch and negatives grow, and of a record larger than allowed.

* `contrast`: by how many MB one step of five modules (draw, five losses, one backward) raises the
  peak of a process, at batch 64 to 1,024 and K 4,096 to 65,536; width 128, a bank of 65,536.
* `large`: a student trains an epoch with a record of four times the memory that its process may
  have, all it imports included (a control group of Linux, so as root). No page of the record is in
  memory at the start. Pages that mirror files can be dropped at any time, so what may not grow is
  the process's own memory.

    python benchmarks/speed/memory.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contrast import CLASSES, TAU, WIDTH, anchors
from measure import environment, peak_growth

from mentee.data import open_examples
from mentee.losses import contrast
from mentee.memory import Bank
from mentee.representations import unit_norm

MODULES = [f"module {number}" for number in range(5)]
BATCHES, NEGATIVES, N = (64, 256, 1024), (4096, 16384, 65536), 65_536
GROUPS = Path("/sys/fs/cgroup/memory")
LIMIT, LONG, WIDE = 1 << 30, 32_768, 65_536


def step(b: int, k: int, n: int = N) -> Callable[[], None]:
    """One step of five modules, ready to be called."""
    memory = Bank(MODULES, torch.arange(n) % CLASSES, WIDTH, negatives=k)
    for name in MODULES:
        memory.stores[name] = unit_norm(torch.randn(2, n, WIDTH))
    pairs, rows = {name: anchors(b) for name in MODULES}, torch.arange(b)
    log_z = torch.tensor([10.8, 10.8])

    def call() -> None:
        memory.begin(rows, 0)
        losses = []
        for name, pair in pairs.items():
            negatives = memory.read(name, *pair)
            loss = contrast(*pair, negatives=negatives, log_z=log_z, temperature=TAU)
            losses.append(loss.mean())
        torch.stack(losses).sum().backward()
        memory._read.clear()

    return call


def warm(b: int, k: int) -> Callable[[], None]:
    """Load the libraries' own buffers on a small problem before memory is measured."""
    step(4, 100, 200)()
    return step(b, k)


def large(folder: Path) -> dict[str, float]:
    """Train in a process that may have a quarter of what the record takes."""
    from mentee.records import write_record
    from mentee.records.columns import Column
    from mentee.records.plan import RecordingJob

    examples = open_examples(texts())
    random = np.random.default_rng(0).standard_normal((256, WIDE)).astype(np.float16)

    job = RecordingJob(
        examples=examples,
        read=lambda examples, rows, view, columns: random[: len(rows)],
        columns=(Column(layer="embedding", reduction="", shape=(WIDE,), layer_shape=(WIDE,)),),
        teacher={"name": "noise"},
        dtype="float16",
        batch=256,
        statistics=False,
    )
    write_record(folder / "record", job)
    size = 0
    for path in (folder / "record").rglob("*.*"):
        size += path.stat().st_size
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    group = GROUPS / f"mentee-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(LIMIT))
    inside = f'echo $$ > {group}/cgroup.procs && exec "$@"'  # before Python itself is loaded
    command = ["sh", "-c", inside, "sh", sys.executable, __file__, "--train", str(folder)]
    formatted = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak = int((group / "memory.max_usage_in_bytes").read_text()) / 2**20
    group.rmdir()
    sizes = {"record_mb": round(size / 2**20), "limit_mb": LIMIT >> 20}
    return sizes | {"group_peak_mb": round(peak), **json.loads(formatted.splitlines()[-1])}


def texts() -> dict[str, Any]:
    """As many short texts as the large record has rows."""
    names = [f"text {row}" for row in range(LONG)]
    return {"text": names, "id": names, "label": np.arange(LONG) % CLASSES}


def train_epoch(folder: str) -> dict[str, float]:
    """Train an epoch with the large record; what the process's own memory did."""
    import mentee

    own: list[float] = []
    recipe = {
        "data": {"source": "texts", "validation": None, "test": None, "max_bytes": 32},
        "student": "hashed-bag-small",
        "teacher": {"record": f"{folder}/record"},
        "method": "east",
        "train": {"epochs": 1, "batch": 64, "optimizer": "adamw", "lr": 1e-3},
    }

    began = time.monotonic()
    mentee.train(
        recipe,
        data=texts(),
        out=f"{folder}/run",
        quiet=True,
        on_step=lambda step: own.append(anonymous()),
    )
    seconds = time.monotonic() - began
    return {
        "steps": len(own),
        "seconds": round(seconds, 1),
        "own_mb_after_20_steps": round(own[19], 1),
        "own_mb_at_the_end": round(own[-1], 1),
    }


def anonymous() -> float:
    """Memory of this process that mirrors no file, MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def main() -> None:
    """Measure, print and write the numbers."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    result = {}
    for k in NEGATIVES:
        for b in BATCHES:
            result[f"batch {b}, K {k}"] = round(peak_growth(partial(warm, b, k)), 1)
            print(b, k, result[f"batch {b}, K {k}"], flush=True)
    content: dict[str, Any] = {
        "what": "MB that one step of five contrast modules adds to a process's peak, "
        f"width {WIDTH}, bank {N}; and training with a record larger than the allowed memory",
        "contrast_mb": result,
    }
    if (GROUPS / "memory.limit_in_bytes").exists():
        with tempfile.TemporaryDirectory(dir=".") as folder:
            content["large"] = large(Path(folder).resolve())
        print(content["large"])
    content["environment"] = environment()
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        print(json.dumps(train_epoch(sys.argv[2])))
    else:
        main()
